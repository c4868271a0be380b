import pytest
from searching import Counted


@pytest.fixture
def path(tmp_path):
    return tmp_path / "searches.db"


@pytest.fixture
def counted():
    Counted.fits, Counted.at = [], {}
    return Counted
