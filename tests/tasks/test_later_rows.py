"""LaterRowsSplit: the later rows of each group are predicted from earlier ones."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

from skmeta.exceptions import EpisodeError
from skmeta.tasks import LaterRowsSplit

GROUPS = np.repeat(["a", "b", "c", "d"], [10, 5, 4, 1])
DAYS = np.random.default_rng(0).permutation(len(GROUPS))
FRAME = pd.DataFrame({"day": DAYS})


def test_test_rows_are_the_last_of_each_group():
    ((train, test),) = LaterRowsSplit("day", test_size=0.4).split(FRAME, groups=GROUPS)
    assert dict(zip(*np.unique(GROUPS[test], return_counts=True), strict=True)) == {
        "a": 4,
        "b": 2,
        "c": 1,
    }
    sizes = {"a": 10, "b": 5, "c": 4}
    for group in sizes:
        known = DAYS[train][GROUPS[train] == group]
        assert known.max() < DAYS[test][GROUPS[test] == group].min()
        assert len(known) + np.sum(GROUPS[test] == group) == sizes[group]


def test_splits_test_blocks_one_after_the_other():
    found = list(LaterRowsSplit(0, test_size=0.2, n_splits=3).split(FRAME, groups=GROUPS))
    tested = np.concatenate([test for _, test in found])
    assert len(tested) == len(set(tested)) == 3 * (2 + 1 + 1)
    for (_, first), (train, second) in pairwise(found):
        assert set(first) <= set(train)
        for group in "abc":
            days = [DAYS[part][GROUPS[part] == group] for part in (first, second)]
            assert days[0].max() < days[1].min()


def test_times_may_be_dates_and_scores_work():
    frame = pd.DataFrame({"when": pd.Timestamp("2024-01-01") + pd.to_timedelta(DAYS, unit="D")})
    cv = LaterRowsSplit("when", test_size=0.4)
    ((_, test),) = cv.split(frame, groups=GROUPS)
    ((_, same),) = LaterRowsSplit("day", test_size=0.4).split(FRAME, groups=GROUPS)
    np.testing.assert_array_equal(test, same)
    scores = cross_val_score(
        Ridge(), FRAME, DAYS, groups=GROUPS, cv=LaterRowsSplit("day", n_splits=2)
    )
    assert scores.shape == (2,)


@pytest.mark.parametrize(
    ("settings", "groups", "error", "message"),
    [
        ({"test_size": 1.0}, GROUPS, ValueError, r"test_size must be a share .* got 1\.0"),
        ({}, None, EpisodeError, "groups is None"),
        ({"n_splits": 10}, GROUPS, EpisodeError, "Split 0 has no test rows.*10 rows"),
        ({"order": "week"}, GROUPS, ValueError, "week"),
    ],
)
def test_what_cannot_be_is_an_error(settings, groups, error, message):
    with pytest.raises(error, match=message):
        LaterRowsSplit(**{"order": "day"} | settings).split(FRAME, groups=groups)
