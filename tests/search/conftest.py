import os
import time
import warnings

import pytest
import sqlalchemy as sa
from scipy.stats import loguniform
from searching import Counted
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory

EVIL = "<script>alert('x')</script>\"&"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "searches.db"


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


# -- searches of which reports are written --------------------------------------------------------


class NamedSVC(SVC):
    """Takes any text as a parameter."""

    def __init__(self, C=1.0, gamma="scale", note=""):
        super().__init__(C=C, gamma=gamma)
        self.note = note


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    return SearchHistory(tmp_path_factory.mktemp("report") / "searches.db")


@pytest.fixture(scope="session")
def evil(reported, iris):
    """A search with markup in the name of the data set and in values, and with failed fits."""
    space = {"C": [-1.0, 0.1, 1.0, 10.0], "gamma": [0.1, 1.0, "scale"], "note": [EVIL, "plain"]}
    search = MetaLearnedSearchCV(
        NamedSVC(), space, n_iter=12, cv=3, prior=None, random_state=0, history=reported
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        return search.set_params(dataset=EVIL).fit(*iris)


@pytest.fixture(scope="session")
def ordinary(reported, iris):
    """A search of a pipeline that starts from the prior that ships."""
    pipe = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(0.1, 100), "svc__gamma": loguniform(1e-3, 1)}
    search = MetaLearnedSearchCV(
        pipe,
        space,
        n_iter=10,
        cv=3,
        prior="shipped",
        random_state=0,
        history=reported,
        dataset="iris",
        scoring=["accuracy", "f1_macro"],
        refit="accuracy",
    )
    return search.fit(*iris)
