"""The mail settings, opened."""

import re
from email.headerregistry import Address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from libs.common.config import ConfigError
from services.notifier.adapters.files import Files
from services.notifier.adapters.ses import Ses
from services.notifier.core.mime import mailbox
from services.notifier.handlers.notify import Mail

_REGION = re.compile(r"[a-z0-9-]+")


def open_mail(url: str) -> Mail:
    """The adapter that `DBIFY_MAIL_URL` stands for.

    Raises:
        ConfigError: If there is none for the URL's scheme, or the URL lacks what that one needs.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "file" if not parts.netloc and parts.path.startswith("/"):
            return Files(Path(unquote(parts.path)))
        case "ses" if _REGION.fullmatch(parts.netloc) and parts.path in {"", "/"}:
            return Ses(parts.netloc)
        case _:
            raise ConfigError("DBIFY_MAIL_URL must say where mails go: file:///absolute/folder or ses://REGION")


def open_sender(text: str) -> Address:
    """The mailbox of `DBIFY_MAIL_FROM`.

    Raises:
        ConfigError: If it is not one mailbox.
    """
    try:
        return mailbox(text)
    except ValueError as error:
        raise ConfigError("DBIFY_MAIL_FROM must be one mailbox, such as: Dbify <no-reply@example.com>") from error
