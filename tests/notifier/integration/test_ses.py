from collections.abc import Iterator
from email import message_from_bytes, message_from_string
from email.headerregistry import Address

import boto3
import pytest
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends

from libs.common.config import ConfigError
from libs.common.ids import new_id
from services.notifier.adapters.mail import open_mail, open_sender
from services.notifier.adapters.ses import Ses
from services.notifier.core.letters import Letter
from services.notifier.core.mime import Envelope, address, compose
from services.notifier.handlers.notify import NotAccepted, Refused
from stack.embedded import free_port

REGION = "eu-central-1"
ACCOUNT = "123456789012"  # what moto calls everybody
FROM = Address("Dbify", "no-reply", "dbify.example")
EVENT = new_id()
LETTER = compose(
    Letter("Hello", ("A letter.",), ()), Envelope(FROM, address("ada@example.com"), EVENT, "2026-11-25T10:11:12Z")
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Amazon's API as moto's server speaks it."""
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield
    server.stop()
    ses_backends.reset()


@pytest.mark.usefixtures("aws")
async def test_a_mail_is_handed_over_whole() -> None:
    boto3.client("sesv2", region_name=REGION).create_email_identity(EmailIdentity="no-reply@dbify.example")
    mail = open_mail(f"ses://{REGION}")
    assert isinstance(mail, Ses)
    await mail.send(LETTER)
    (sent,) = ses_backends[ACCOUNT][REGION].sent_messages
    raw = sent.raw_data
    received = message_from_bytes(raw) if isinstance(raw, bytes) else message_from_string(raw)
    assert received["Message-ID"] == f"<{EVENT}@dbify.example>"
    assert received["To"] == "ada@example.com"


@pytest.mark.usefixtures("aws")
async def test_a_mail_that_ses_rejects_is_refused_for_good() -> None:
    with pytest.raises(Refused, match="MessageRejected"):
        await open_mail(f"ses://{REGION}").send(LETTER)


async def test_without_a_connection_the_mail_was_certainly_not_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(NotAccepted, match="EndpointConnectionError"):
        await open_mail(f"ses://{REGION}").send(LETTER)


@pytest.mark.parametrize("url", ["", "pigeon://secret", "file://host/folder", "file:relative", "ses://", "ses://a/b"])
def test_a_mail_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"file:///.*ses://") as refused:
        open_mail(url)
    assert "secret" not in str(refused.value)


def test_a_sender_that_is_no_mailbox_is_refused() -> None:
    with pytest.raises(ConfigError, match="DBIFY_MAIL_FROM"):
        open_sender("a@b, c@d")
