"""Who runs Postgres where we are root, which it refuses to run as, and what that user must be able to reach."""

import os
import pwd
import stat
from pathlib import Path
from typing import TypedDict

# Debian's own first; `nobody` is on every system.
_CANDIDATES = ("postgres", "pgserver", "nobody")


class AsUser(TypedDict, total=False):
    """The arguments by which `subprocess` changes the user."""

    user: int
    group: int
    extra_groups: list[int]


def server_user(data: Path) -> str | None:
    """The user to run Postgres as: whoever owns its data, else one that exists; None where we are not root."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return pwd.getpwuid(data.stat().st_uid).pw_name
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _CANDIDATES if name in names)


def as_user(name: str | None) -> AsUser:
    """The arguments for `subprocess`, none for None."""
    if name is None:
        return {}
    account = pwd.getpwnam(name)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give(name: str, *paths: Path) -> None:
    """Make the user the owner of these paths."""
    account = pwd.getpwnam(name)
    for path in paths:
        os.chown(path, account.pw_uid, account.pw_gid)


def let_in(name: str, install: Path, data: Path) -> None:
    """Let the user pass through the folders above its programs and data: passing alone, not reading them."""
    for folder in {*install.resolve().parents, *data.resolve().parents}:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH and folder.stat().st_uid != pwd.getpwnam(name).pw_uid:
            folder.chmod(mode | stat.S_IXOTH)
    if not (install / "postgres").stat().st_mode & stat.S_IXOTH:
        _open(install.parent)


def _open(root: Path) -> None:
    """Make an installation readable that was unpacked under a strict umask."""
    for path in (root, *root.rglob("*")):
        mode = path.stat().st_mode
        runs = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | runs)
