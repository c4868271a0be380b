import pytest

from skmeta.search import SearchHistory


@pytest.fixture
def history(tmp_path):
    return SearchHistory(tmp_path / "searches.db")
