"""Write a file whole or not at all, and sweep what killed processes left behind."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be deleted
    fcntl = None  # type: ignore[assignment]  # mypy knows no module that may be missing

_PART = ".part"


@contextmanager
def atomic_writer(path: str | os.PathLike[str], *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that takes its place only once it is written and on disk.

    If writing fails or the process is killed, the old file stays as it was. What a killed process
    left behind is removed by the next write to the same path.

    Parameters
    ----------
    path : str or path-like
        The file. A link is followed.
    mode : int, default=0o666
        Permissions of the file, less the umask.

    Yields
    ------
    file
        Open for writing bytes.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    IsADirectoryError
        If the path is a folder.
    OSError
        If the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, f"{str(target)!r} is a folder. Give the path of a file in it"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT,
            f"The folder {str(target.parent)!r} does not exist. "
            f"Create it before {target.name!r} is written to it",
        )
    remove_leftovers(target)
    temporary, file = _open_temporary(target, mode)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name != "nt":  # Windows moves closed files only
                os.replace(temporary, target)
        if os.name == "nt":
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left behind when they wrote a file.

    Parameters
    ----------
    path : str or path-like
        The file that they wrote.
    """
    target = Path(os.path.realpath(path))
    with suppress(OSError):  # a folder that may not be listed is not cleaned
        for name in os.listdir(target.parent):
            if name.startswith(f".{target.name}.") and name.endswith(_PART):
                _remove_if_abandoned(target.parent / name)


def _open_temporary(target: Path, mode: int) -> tuple[Path, BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")
        file = os.fdopen(os.open(temporary, flags, mode), "wb")
        # The lock tells others that this process is alive. One of them may have come first.
        if _lock(file, unknown=True) and temporary.exists():
            return temporary, file
        file.close()


def _lock(file: BinaryIO, *, unknown: bool) -> bool:
    """Lock a file for as long as it is open; False if another process holds it.

    Where the file system has no locks, `unknown` is returned.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unknown
    return True


def _remove_if_abandoned(temporary: Path) -> None:
    with suppress(OSError), open(temporary, "r+b") as file:
        if _lock(file, unknown=False):
            if fcntl is None:
                file.close()
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a new name durable, where folders can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
