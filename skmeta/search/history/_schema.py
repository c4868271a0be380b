"""Tables of a history, and the version that they carry."""

import secrets
from typing import Any

import sqlalchemy as sa

from skmeta.exceptions import HistoryFormatError
from skmeta.search.history._codec import KEY_LENGTH

FORMAT = "skmeta.history"
VERSION = 2  # version 1 had a column `digest` in each row

_tables = sa.MetaData()

# Names begin with skmeta_, because a team's database may hold other tables.
about = sa.Table(
    "skmeta_about",
    _tables,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# A field that a query reads has a column; the others are in the JSON of `details` (see `_codec`).
search = sa.Table(
    "skmeta_search",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(KEY_LENGTH), nullable=False, unique=True),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("data_digest", sa.String(KEY_LENGTH), nullable=False),
    sa.Column("estimator", sa.Text, nullable=False),
    sa.Column("refit_metric", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("started", sa.Double, nullable=False),  # seconds since 1970
    sa.Column("finished", sa.Double),
    sqlite_autoincrement=True,  # an id is never used again, so every change can be detected
)

candidate = sa.Table(
    "skmeta_candidate",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column(
        "search_id", sa.Integer, sa.ForeignKey(search.c.id, ondelete="CASCADE"), nullable=False
    ),
    sa.Column("key", sa.String(KEY_LENGTH), nullable=False),
    sa.Column("configuration", sa.Text, nullable=False),
    sa.Column("scores", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.UniqueConstraint("search_id", "key"),
    sqlite_autoincrement=True,
)

# A candidate that a worker of a shared search evaluates, or has evaluated.
lease = sa.Table(
    "skmeta_lease",
    _tables,
    sa.Column(
        "search_id",
        sa.Integer,
        sa.ForeignKey(search.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(KEY_LENGTH), nullable=False),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("worker", sa.String(255), nullable=False),
    sa.Column("expires", sa.Double, nullable=False),  # seconds since 1970 by the database's clock
    sa.Column("n_starts", sa.Integer, nullable=False),  # of workers that did not give it back
    sa.UniqueConstraint("search_id", "key"),
)

# An arbitrary number: the key of PostgreSQL's advisory lock while tables are created.
_CREATION_LOCK = 7_305_810_964


def version_of(connection: sa.Connection, place: str) -> int:
    """Return the version of the history in a database; 0 if there is none.

    A SQLite file with other tables is refused, since it belongs to another program. A database on a
    server may hold other tables.
    """
    try:
        names = sa.inspect(connection).get_table_names()
    except (TypeError, ValueError) as error:  # SQLAlchemy's, about texts that are not UTF-8
        raise HistoryFormatError(
            f"The names or types of a history's tables are damaged ({error}). Restore a copy, or "
            "salvage what is left with sqlite3's .recover."
        ) from error
    if about.name not in names:
        if names and connection.dialect.name == "sqlite":
            raise HistoryFormatError(_describe_foreign(place, names))
        return 0
    rows: Any = connection.execute(sa.select(about.c.name, about.c.value))
    values = dict(rows.all())
    return _checked_version(values, place)


def prepare(connection: sa.Connection, place: str) -> None:
    """Create the tables, or bring them to this version, unless another process was faster."""
    if connection.dialect.name == "postgresql":  # other processes wait
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
    version = version_of(connection, place)
    if version == 0:
        _tables.create_all(connection)
        values = {"format": FORMAT, "version": str(VERSION), "id": secrets.token_hex(16)}
        connection.execute(sa.insert(about), [{"name": k, "value": v} for k, v in values.items()])
    elif version == 1:
        for table in (search, candidate):
            connection.execute(sa.text(f"ALTER TABLE {table.name} DROP COLUMN digest"))
        is_version = about.c.name == "version"
        connection.execute(sa.update(about).where(is_version).values(value=str(VERSION)))


def _checked_version(values: dict[str, Any], place: str) -> int:
    version = values.get("version")
    if not isinstance(version, str):
        version = repr(version)
    if values.get("format") != FORMAT or not version.isdecimal() or int(version) < 1:
        raise HistoryFormatError(
            f"{place} has a table {about.name!r} that does not describe a history (format "
            f"{values.get('format')!r}, version {version!r}). It was altered: use a copy."
        )
    if int(version) > VERSION:
        raise HistoryFormatError(
            f"{place} holds a history of format {version}, and this version of skmeta reads up to "
            f"format {VERSION}. Upgrade skmeta, or give another file."
        )
    return int(version)


def _describe_foreign(place: str, names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
    hint = "Give the path of a history, or of a file that does not exist yet."
    if {"studies", "trials"} <= set(names):
        hint = "It is Optuna's: load the study, and add its trials with SearchHistory.add."
    return f"{place} is a database, but not a history: it holds the tables {shown}. {hint}"
