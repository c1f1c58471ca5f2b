"""Email addresses and passwords: what is taken, and in which form."""

import re

from libs.common.errors import Code, DbifyError

# RFC 5321 4.5.3.1: 64 octets before the @, 254 in all.
MAX_EMAIL = 254
MAX_LOCAL = 64
MIN_PASSWORD = 8
# A bound, so that nobody makes the server hash megabytes.
MAX_PASSWORD = 1024

_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)


def normalised(email: str) -> str:
    """The address in the one form it is stored, compared and written to: without blanks around, in lower case.

    Raises:
        DbifyError: INVALID_REQUEST where it is no address.
    """
    address = email.strip(" \t").lower()
    local, _, _ = address.partition("@")
    if len(address) > MAX_EMAIL or len(local) > MAX_LOCAL or not _EMAIL.fullmatch(address):
        raise DbifyError(Code.INVALID_REQUEST, "This is not an email address.", {"field": "email"})
    return address


def check_password(password: str) -> None:
    """Refuse a password that is too short, too long or cannot be typed.

    Raises:
        DbifyError: INVALID_REQUEST saying what is wrong with it.
    """
    if len(password) < MIN_PASSWORD:
        message = f"The password needs at least {MIN_PASSWORD} characters."
    elif len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        message = f"The password may have at most {MAX_PASSWORD} bytes."
    else:
        return
    raise DbifyError(Code.INVALID_REQUEST, message, {"field": "password"})
