"""The mail settings, opened."""

from email.headerregistry import Address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from libs.common.config import ConfigError
from services.notifier.adapters.files import Files
from services.notifier.core.mime import mailbox
from services.notifier.handlers.notify import Mail


def open_mail(url: str) -> Mail:
    """The adapter that `DBIFY_MAIL_URL` stands for.

    Raises:
        ConfigError: If there is none for the URL's scheme, or the URL lacks what that one needs.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "file" if not parts.netloc and parts.path.startswith("/"):
            return Files(Path(unquote(parts.path)))
        case _:
            raise ConfigError("DBIFY_MAIL_URL must say where mails go: file:///absolute/folder (no other kind exists).")


def open_sender(text: str) -> Address:
    """The mailbox of `DBIFY_MAIL_FROM`.

    Raises:
        ConfigError: If it is not one mailbox.
    """
    try:
        return mailbox(text)
    except ValueError as error:
        raise ConfigError("DBIFY_MAIL_FROM must be one mailbox, such as: Dbify <no-reply@example.com>") from error
