"""What happens to all groups at once is no season."""

import numpy as np

from skmeta.grouped.longitudinal import learn_calendar


def test_shocks_that_all_groups_share_are_no_season():
    rng = np.random.default_rng(0)
    times, codes = np.tile(np.arange(63.0), 17), np.repeat(np.arange(17), 63)
    found = []
    for season in (0.0, 1.5):
        for _ in range(20):
            walks = np.cumsum(rng.normal(size=63)) + np.cumsum(rng.normal(size=(17, 63)), 1)
            y = walks + season * rng.normal(size=12)[np.arange(63) % 12]
            calendar = learn_calendar(times, y.ravel(), codes, "auto", False, 0.0, 1.0)
            found.append([one.n_phases for one in calendar.seasons])
    assert not any(found[:20])
    assert sum(lengths == [12] for lengths in found[20:]) >= 18
