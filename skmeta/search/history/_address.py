"""The address of a history: a path, or the URL of a database, whose secrets are not shown."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

MEMORY = ":memory:"
MASK = "***"
# A URL, also one whose slashes were lost, as in a pathlib.Path. "C:" begins a path of Windows.
_URL = re.compile(r"\s*[A-Za-z][\w+. -]+:(/|.*@)")
# Parameters of a URL whose values are shown. Others, such as ?options=, may hold secrets.
_SHOWN = {"application_name", "charset", "connect_timeout", "sslmode", "target_session_attrs"}


def mask_password(address: str) -> str:
    """Return an address without secrets (``***``), or its driver if it cannot be parsed."""
    if not is_url(address):
        return address
    url = parse_url(address)
    if url is None:
        return f"{address.partition(':')[0]}://{MASK}"
    query = [
        f"{name}={value if name.lower() in _SHOWN else MASK}"
        for name, values in url.query.items()
        for value in _texts(values)
    ]
    plain = url.set(query={}).render_as_string(hide_password=True)
    return "?".join([plain, *["&".join(query)] * bool(query)])


def is_url(address: str) -> bool:
    """Return whether an address is the URL of a database, and not a path."""
    return "://" in address or _URL.match(address) is not None


def parse_url(address: str) -> "sa.URL | None":
    """Return a parsed URL; None if it cannot be parsed, or if it is unclear where its parts end."""
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError

    try:
        url = sa.make_url(str(address))
    except (ArgumentError, ValueError):  # ValueError: a port that is not a number
        return None
    # A password with an "@" or a "/" that is not escaped ends in another part.
    parts = [url.host or ""]
    parts += [url.database or ""] * (url.get_backend_name() != "sqlite" or bool(url.host))
    return None if any("@" in part for part in parts) else url


def secrets_of(address: str) -> set[str]:
    """Return the texts of an address that no message may show."""
    url = parse_url(address) if is_url(address) else None
    if url is None:
        return set()
    values = [value for name, value in url.query.items() if name.lower() not in _SHOWN]
    texts = {str(url.password or ""), *(v for one in values for v in _texts(one))}
    return {text for text in texts if len(text) > 2}


def _texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
