"""What the summary says of groups, where the truth is known."""

import numpy as np
import pytest

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.grouped._verdict import chance_of_groups

KINDS = [GroupedRegressor, GroupedClassifier]


def make_table(share=0.0, slope=0.0, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(30), 12)
    X = rng.normal(size=(len(group), 2))
    y = X[:, 0] + rng.normal(size=len(group))
    y += np.sqrt(share / (1 - share)) * rng.normal(size=30)[group]
    y += slope * rng.normal(size=30)[group] * X[:, 1]
    return np.column_stack([group, X]), y


def fit(kind, Z, y):
    y = y if kind is GroupedRegressor else (y > 0).astype(int)
    return kind(0, model="mixed", n_folds=2).fit(Z, y)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_drawn_at_random_do_not_matter(kind):
    """At a level of 5 %, three false claims of four are less likely than .05 %."""
    models = [fit(kind, *make_table(seed=seed)) for seed in range(4)]
    chances = np.array([chance_of_groups(model.model_) for model in models])
    assert (chances <= 0.05).sum() <= 2
    words = "These data show no difference between groups (p ="
    assert all((words in m.summary_) == (p > 0.05) for m, p in zip(models, chances, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("differs", [{"share": 0.3}, {"slope": 1.0}])
def test_groups_that_differ_in_their_means_or_slopes_matter(kind, differs):
    model = fit(kind, *make_table(**differs))
    assert chance_of_groups(model.model_) <= 0.05
    assert "if groups were random, such differences would be unlikely (p " in (model.summary_)


def test_the_order_of_rows_does_not_change_the_verdict():
    Z, y = make_table(share=0.03)
    rows = np.random.default_rng(1).permutation(len(y))
    chances = [chance_of_groups(fit(GroupedRegressor, Z[r], y[r]).model_) for r in (..., rows)]
    assert chances[0] == chances[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.8])
def test_known_rows_lower_the_loss_where_groups_differ(kind, share):
    model = fit(kind, *make_table(share=share, seed=5))
    value, low, high = model.model_.mixture.gain
    assert low < value < high
    assert (high < 0) == (share > 0)
    assert f"Other known rows of a group change the loss by {value:+.1%} " in model.summary_
    assert ("which may be chance" in model.summary_) == (share == 0)


def test_few_groups_that_differ_matter():
    rng = np.random.default_rng(0)
    for n_groups in (4, 8):
        group = np.repeat(np.arange(n_groups), 30)
        Z = np.column_stack([group, rng.normal(size=(len(group), 2))])
        y = Z[:, 1] + 3.0 * group + rng.normal(size=len(group))
        with pytest.warns(UserWarning, match="fewer than 10 groups"):
            model = GroupedRegressor(0, model="mixed").fit(Z, y)
        assert chance_of_groups(model.model_) <= 0.05
