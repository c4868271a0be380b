"""What the shipped priors of boosting know of early stopping."""

import numpy as np
import pytest
from boosters import CLASSES, make_booster

from skmeta.search import default_search_space, shipped_priors
from skmeta.search.prior import load_shipped
from skmeta.search.space import RoundLimit, SearchSpace, canonical_configurations


@pytest.mark.parametrize("name", CLASSES)
def test_early_stopping_is_told_from_fixed_rounds(name):
    assert name in shipped_priors()
    estimator = make_booster(name)
    prior = load_shipped(name, "accuracy" if "Class" in name else "r2")
    candidates = SearchSpace(default_search_space(estimator)).sample(40, np.random.default_rng(0))

    rounds = "iterations" if "CatBoost" in name else "n_estimators"

    def expected(learning_rate, n_rounds):
        changed = {"learning_rate": learning_rate, rounds: n_rounds}
        configurations = canonical_configurations(estimator, [{**c, **changed} for c in candidates])
        return prior.surfaces(configurations).mean()

    # A small learning rate needs many rounds; early stopping finds how many.
    assert expected(0.01, 25) < expected(0.01, 400)
    assert expected(0.01, 25) < expected(0.01, RoundLimit(1000))
    assert expected(0.01, 25) < expected(0.1, 100)
