"""Mails through Amazon SES, version 2 of its API; credentials come from where boto3 looks for them."""

import asyncio
from email.message import EmailMessage

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from services.notifier.handlers.notify import NotAccepted, Refused

# One attempt, over before the handover's own limit: SES has no idempotency key, so a retry is the claim's to decide.
_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
_NEVER = frozenset({"MessageRejected", "BadRequestException"})
_NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, PartialCredentialsError)
_SERVER_ERROR = 500


class Ses:
    """Hands mails to SES in one region. Each carries its event's id as the tag `dbify-event`."""

    def __init__(self, region: str) -> None:
        self._client = boto3.client("sesv2", region_name=region, config=_CONFIG)

    async def send(self, message: EmailMessage) -> None:
        """Return once SES has accepted the mail."""
        try:
            await asyncio.to_thread(self._send, message)
        except _NOT_SENT as error:
            raise NotAccepted(f"SES was not reached: {type(error).__name__}.") from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _NEVER:
                raise Refused(f"SES refuses the mail: {code}.") from error
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= _SERVER_ERROR:
                raise  # it may have been accepted all the same
            raise NotAccepted(f"SES did not take the mail: {code}.") from error

    def _send(self, message: EmailMessage) -> None:
        event = str(message["Message-ID"]).strip("<>").partition("@")[0]
        self._client.send_email(
            Destination={"ToAddresses": [address.addr_spec for address in message["To"].addresses]},
            Content={"Raw": {"Data": message.as_bytes()}},
            EmailTags=[{"Name": "dbify-event", "Value": event}],
        )
