"""One count per group, over an exposure: areas of a map."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmeta import GroupedRegressor
from skmeta.exceptions import EpisodeError

TABLE = pd.read_csv(Path(__file__).parent / "data" / "lip_cancer.csv")
TABLE.insert(0, "district", [f"district {k}" for k in range(len(TABLE))])
X, Y = TABLE[["district", "agriculture", "expected"]], TABLE["observed"]


@pytest.fixture(scope="module")
def fitted():
    return GroupedRegressor("district", exposure="expected").fit(X, Y)


def test_effects_are_those_of_glmmtmb(fitted):
    """Its intercept is -.4900, its slope .06831 (.01397), and its deviation between areas .5868."""
    shared = fitted.effects_.loc["shared"]
    assert shared["agriculture"] == pytest.approx(0.06831, abs=1e-4)
    assert shared["agriculture std"] == pytest.approx(0.01397, abs=2e-4)
    at_mean = -0.4900 + 0.06831 * X["agriculture"].mean()
    assert shared["intercept"] == pytest.approx(at_mean, abs=1e-3)
    assert shared["intercept between"] == pytest.approx(0.5868, abs=1e-3)
    assert shared["rows"] == len(X)
    assert (fitted.effects_["rows"][1:] == 1).all()


def test_predictions_of_areas_are_near_those_of_glmmtmb(fitted):
    log_ratio = np.log(fitted.predict(X) / TABLE["glmmtmb"])
    # The counts themselves are .39 away, and what agriculture says without areas .49.
    assert log_ratio.std() < 0.1
    assert abs(log_ratio.mean()) < 0.1


def test_new_areas_are_predicted_and_learned_from_one_count(fitted):
    new = X.assign(district=X["district"] + " of tomorrow")
    before = fitted.predict(new) / X["expected"]
    assert np.ptp(before[X["agriculture"] == 16]) < 1e-9 * before.mean()
    model = pickle.loads(pickle.dumps(fitted)).partial_fit(new, Y)
    # They have the rows of districts that are known.
    log_ratio = np.log(model.predict(new) / fitted.predict(X))
    assert log_ratio.std() < 0.15
    assert (model.effects_["rows"][1:] == 1).all()


def test_intervals_hold_for_later_counts_of_areas_and_for_new_areas():
    rng, n = np.random.default_rng(0), 60
    table = pd.DataFrame({"area": range(n), "x": rng.normal(size=n)})
    table["years"] = np.exp(rng.normal(1.5, 0.9, n))
    rate = np.exp(0.2 + 0.4 * table["x"] + 0.5 * rng.normal(size=n))
    model = GroupedRegressor("area", exposure="years")
    model.fit(table, rng.poisson(rate * table["years"]))
    later = rng.poisson((rate * table["years"]).to_numpy()[:, None], (n, 200))
    low, high = model.predict_quantiles(table, (0.05, 0.95)).T
    inside = (low[:, None] <= later) & (later <= high[:, None])
    # 90 % intervals of counts whose rates are known hold .946 of them, as counts have gaps.
    assert 0.9 < inside.mean() < 0.98
    # The error of the model that the counts were drawn from is .351; their own is .62.
    error = np.log(model.predict(table) / (rate * table["years"]))
    assert np.sqrt(np.mean(error**2)) < 0.42


def test_what_says_nothing_of_groups_is_refused():
    message = "Each of the 56 rows has a group of its own in column 'district'.*has exposure="
    with pytest.raises(EpisodeError, match=message):
        GroupedRegressor("district").fit(X, Y)
    amounts = GroupedRegressor("district", exposure="expected", target_type="positive")
    with pytest.raises(EpisodeError, match=message):
        amounts.fit(X, Y + 0.5)
    in_time = GroupedRegressor("district", exposure="expected", order="agriculture")
    with pytest.raises(EpisodeError, match=message):
        in_time.fit(X, Y)
