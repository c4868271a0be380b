"""Addresses of histories: paths and URLs, checked, and shown without their passwords."""

import os
import re
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from skmeta.exceptions import HistoryError

MEMORY = ":memory:"
MASK = "***"

# Parameters of a URL that hold secrets, such as ?password= and ?sslpassword=.
_SECRET_PARAMETER = re.compile(r"pass|pwd|secret|token|credential|key", re.IGNORECASE)
_PLACEHOLDER = "skmetamask"


def address_of(path_or_url: object) -> str:
    """Return a path or URL as text.

    Raises
    ------
    HistoryError
        If it is neither.
    """
    if isinstance(path_or_url, str | os.PathLike):
        text = os.fspath(path_or_url)
        if isinstance(text, str) and text:
            return text
    raise HistoryError(
        f"A history is given by a path or an SQLAlchemy URL, not {path_or_url!r} of type "
        f"{type(path_or_url).__name__}. Give 'searches.db', for example."
    )


class _MaskedAddress(str):
    """A URL whose password is hidden when it is shown as the parameter of an estimator."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_password(str(self)))


def hide_password(history: object) -> object:
    """Return a URL with a password as an equal string whose ``repr`` hides it.

    Parameters
    ----------
    history : object
        The parameter ``history`` of a search. Anything but a URL with a password is returned as
        it is.

    Returns
    -------
    object
    """
    if type(history) is str and "://" in history and mask_password(history) != history:
        return _MaskedAddress(history)
    return history


def mask_password(address: str) -> str:
    """Return an address with its secrets replaced by ``***``.

    Parameters
    ----------
    address : str
        A path or URL. If a URL cannot be parsed, only the driver's name remains.
    """
    if "://" not in address:
        return address
    url = _parse(address)
    if url is None:
        return f"{address.partition('://')[0]}://{MASK}"
    query = {k: _PLACEHOLDER if _SECRET_PARAMETER.search(k) else v for k, v in url.query.items()}
    if query == dict(url.query) and url.password is None:
        return address
    shown = url.set(query=query).render_as_string(hide_password=True)
    return shown.replace(_PLACEHOLDER, MASK)


def secrets_of(address: str) -> list[str]:
    """Return the secrets of a URL, as written and decoded, the longest first."""
    url = _parse(address)
    if url is None:
        return []
    secrets = [str(url.password or "")]
    for name, value in url.query.items():
        if _SECRET_PARAMETER.search(name):
            secrets += [value] if isinstance(value, str) else list(value)
    spelled = {
        spell(one) for one in secrets for spell in (str, quote_plus, partial(quote, safe=""))
    }
    return sorted(spelled - {""}, key=len, reverse=True)


def parse_url(address: str) -> sa.URL:
    """Return a parsed URL; psycopg 3 is the driver of PostgreSQL unless another is named.

    Raises
    ------
    HistoryError
        If it cannot be parsed. The message does not repeat the URL, which may hold a password.
    """
    url = _parse(address)
    if url is None:
        raise HistoryError(
            f"The URL of the history ({mask_password(address)}) cannot be parsed. It looks like "
            "postgresql://user@host:5432/database (special characters as %XX)."
        )
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _parse(address: str) -> sa.URL | None:
    """Return a parsed URL; None for a path, and for a URL that cannot be parsed."""
    if "://" not in address:
        return None
    try:
        return sa.make_url(str(address))
    except (ArgumentError, ValueError):  # ValueError: a port that is not a number
        return None


def file_of(address: str) -> Path | None:
    """Return the file of an address; None if it is in memory or on a server.

    Raises
    ------
    HistoryError
        If a URL of SQLite is more than a path.
    """
    if address == MEMORY:
        return None
    if "://" not in address:
        return Path(address).expanduser()
    url = parse_url(address)
    if url.get_backend_name() != "sqlite":
        return None
    plain = url.drivername in ("sqlite", "sqlite+pysqlite") and not url.query
    if not plain or not url.database or url.database.startswith((":", "file:")) or url.host:
        raise HistoryError(
            f"The URL {mask_password(address)!r} is not just the path of a SQLite file, and its "
            f"other parts would be ignored. Give the path itself, or {MEMORY!r} for a history in "
            "memory."
        )
    return Path(url.database).expanduser()


def check_file(path: Path, read_only: bool) -> None:
    """Raise if a history cannot be kept in a file, before SQLite opens it.

    Raises
    ------
    HistoryError
        If the file is not a regular one, or cannot be written; if a read-only history does not
        exist.
    """
    if path.exists() and not path.is_file():
        raise HistoryError(
            f"{str(path)!r} is not a regular file, but a folder, a pipe or a device. Give the path "
            "of a file."
        )
    if not path.parent.is_dir():
        raise HistoryError(
            f"The folder {str(path.parent)!r} does not exist. Create it before a history is "
            f"kept there as {path.name!r}."
        )
    if read_only and not path.exists():
        raise HistoryError(
            f"{str(path)!r} does not exist, and a read-only history is not created. "
            "Record a search first, or give another path."
        )
    # SQLite writes its journal to the same folder, which has to be writable too.
    for what, place in (("folder", path.parent), ("file", path)):
        if not read_only and place.exists() and not os.access(place, os.W_OK):
            raise HistoryError(
                f"The {what} {str(place)!r} cannot be written, and the history needs to. "
                "Change its permissions, choose another, or open it with read_only=True."
            )
