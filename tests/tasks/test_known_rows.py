"""KnownRowsGroupKFold: some rows of each group held out are there to learn from."""

import numpy as np
import pandas as pd
import pytest

from skmeta.exceptions import EpisodeError
from skmeta.tasks import EpisodeSplit, KnownRowsGroupKFold

GROUPS = np.repeat(["a", "b", "c", "d"], [6, 5, 4, 3])
X = np.zeros((len(GROUPS), 1))


def test_known_rows_are_there_to_learn_from():
    cv = KnownRowsGroupKFold(n_known=2, n_splits=2, random_state=0)
    tested = []
    for train, test in cv.split(X, groups=GROUPS):
        assert len(np.intersect1d(train, test)) == 0
        assert len(train) + len(test) == len(GROUPS)
        for group in np.unique(GROUPS[test]):
            assert (GROUPS[train] == group).sum() == 2
        tested.append(test)
    # Each row is tested once, but for the known ones.
    assert len(np.unique(np.concatenate(tested))) == len(GROUPS) - 2 * 4


def test_with_an_order_known_rows_are_the_earliest():
    days = np.random.default_rng(0).permutation(len(GROUPS))
    frame = pd.DataFrame({"day": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")})
    cv = KnownRowsGroupKFold(n_known=2, n_splits=2, order="day", random_state=0)
    for train, test in cv.split(frame, groups=GROUPS):
        for group in np.unique(GROUPS[test]):
            known = days[train][GROUPS[train] == group]
            assert known.max() < days[test][GROUPS[test] == group].min()


def test_episodes_in_order():
    days = np.random.default_rng(0).permutation(len(GROUPS)) + 0.5
    cv = EpisodeSplit(n_shot=2, n_query=9, n_episodes=8, order=0, random_state=0)
    for support, query in cv.split(days[:, None], days, groups=GROUPS):
        assert days[support].max() < days[query].min()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_splits": 5}, "n_splits=5, but there are 4 groups"),
        ({"n_known": 6, "n_splits": 4}, "has no test rows: none of its groups has more than"),
        ({"order": "day"}, "'day' is a name, but X is ndarray"),
    ],
)
def test_impossible_splits_say_so(settings, message):
    cv = KnownRowsGroupKFold(**{"n_splits": 2, **settings})
    with pytest.raises(ValueError, match=message):
        list(cv.split(X, groups=GROUPS))


def test_groups_are_needed():
    with pytest.raises(EpisodeError, match="groups is None"):
        KnownRowsGroupKFold().split(X)
