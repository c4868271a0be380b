"""Shots of the learners: rows in all for groups, ranges, and the kind of whole numbers."""

import numpy as np
import pytest

from skmeta.exceptions import EpisodeError
from skmeta.learners import MAML, HierarchicalLinear, ProtoNet, Validation

SMALL = {
    "backbone_params": {"hidden": (8,)},
    "n_query": 6,
    "n_iterations": 20,
    "meta_batch_size": 2,
    "validation": Validation(n_tasks=4),
    "random_state": 0,
}


def make_groups(n_groups=12, n_rows=12, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), n_rows)
    X = rng.normal(size=(len(groups), 2))
    y = (X[:, 0] + rng.normal(size=n_groups)[groups] > 0).astype(int)
    return X, y, groups


def test_shots_of_groups_count_rows_in_all():
    X, y, groups = make_groups()
    new = MAML(**SMALL, n_shot=3).fit(X, y, groups)
    same = MAML(**SMALL, n_shot=3, sampling="task").fit(X, y, groups)
    as_range = MAML(**SMALL, n_shot=(3, 3)).fit(X, y, groups)
    of_class = MAML(**SMALL, n_shot=3, sampling="class").fit(X, y, groups)
    weights = [f.prior_.tensors["head.weight"] for f in (new, same, as_range, of_class)]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], weights[3])


def test_protonet_has_rows_of_each_class():
    X, y, groups = make_groups()
    prototypes = [
        MAML(**SMALL, head_init="prototype", n_shot=2, **how).fit(X, y, groups).prior_.digest
        for how in ({}, {"sampling": "class"})
    ]
    assert prototypes[0] == prototypes[1]
    ProtoNet(**SMALL, n_shot=2).fit(X, y, groups)  # Warnings are errors.
    with pytest.raises(EpisodeError, match="this learner needs rows of each class"):
        ProtoNet(**SMALL, sampling="task").fit(X, y, groups)
    with pytest.raises(EpisodeError, match="tasks are drawn from classes"):
        MAML(**SMALL, sampling="task").fit(X, groups)


@pytest.mark.parametrize(
    "y",
    [np.arange(144) % 30, 1 + np.arange(144) % 5, 10.0 * (np.arange(144) % 3)],
    ids=["counts", "ratings", "steps"],
)
def test_whole_numbers_are_asked_about(y):
    X, _, groups = make_groups()
    for learner in (MAML(**SMALL), HierarchicalLinear()):
        with pytest.raises(
            EpisodeError, match=r"different whole numbers .* Set target_type='class"
        ):
            learner.fit(X, y, groups)
    told = HierarchicalLinear(target_type="regression").fit(X, y, groups)
    assert told.prior_.kind == "regression"


@pytest.mark.parametrize(
    "y",
    [np.arange(144) % 4, np.array([-1, 1])[np.arange(144) % 2], np.arange(144) % 2 > 0],
    ids=["codes", "two values", "booleans"],
)
def test_codes_of_classes_are_not_asked_about(y):
    X, _, groups = make_groups()
    assert HierarchicalLinear().fit(X, y, groups).prior_.kind == "classification"
