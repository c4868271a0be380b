import os
import time

import pytest
import sqlalchemy as sa
from searching import Counted

from skmeta.search import SearchHistory


@pytest.fixture
def path(tmp_path):
    return tmp_path / "searches.db"


@pytest.fixture
def history(path):
    return SearchHistory(path)


@pytest.fixture
def counted():
    Counted.fits, Counted.at = [], {}
    return Counted


@pytest.fixture
def postgres_url():
    """The URL of a schema of its own, in the database that SKMETA_TEST_POSTGRES names."""
    if not os.environ.get("SKMETA_TEST_POSTGRES"):
        pytest.skip("SKMETA_TEST_POSTGRES names no PostgreSQL database")
    pytest.importorskip("psycopg")
    base = sa.make_url(os.environ["SKMETA_TEST_POSTGRES"]).set(drivername="postgresql+psycopg")
    name = f"skmeta_test_{os.getpid()}_{time.monotonic_ns()}"
    engine = sa.create_engine(base, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    # As a user writes it: without the driver.
    own = base.set(drivername="postgresql").update_query_dict(
        {"options": f"-csearch_path={name}"}, append=True
    )
    yield own.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()
