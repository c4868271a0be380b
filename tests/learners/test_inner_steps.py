"""Inner steps in meta-training and for new tasks, published settings, order of parameters."""

import inspect

import numpy as np
import pytest

from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet, Reptile
from skmeta.learners._core import read_settings

SMALL = {"n_iterations": 4, "validation": 0, "random_state": 0, "meta_batch_size": 2}


@pytest.fixture(scope="module")
def tasks():
    return make_sinusoid_tasks(12, 20, random_state=0)


@pytest.mark.parametrize("learner", [MAML, ANIL, MetaSGD, Reptile])
def test_meta_training_takes_steps_of_its_own_number(learner, tasks):
    X, y, groups = tasks
    few = learner(n_inner_steps=2, **SMALL).fit(X, y, groups=groups)
    more = learner(n_train_steps=2, n_inner_steps=4, **SMALL).fit(X, y, groups=groups)
    for name, value in few.prior_.tensors.items():
        np.testing.assert_array_equal(more.prior_.tensors[name], value)
    assert more.prior_.learner_params["n_inner_steps"] == 4


def test_scores_after_other_numbers_of_steps(tasks):
    X, y, groups = tasks
    learner = MAML(n_inner_steps=3, **SMALL).fit(X, y, groups=groups)
    new = make_sinusoid_tasks(12, 20, random_state=1)
    new = (*new[:2], new[2] + 100)
    as_fitted = learner.score_tasks(*new, n_tasks=5)
    np.testing.assert_array_equal(learner.score_tasks(*new, n_tasks=5, n_inner_steps=3), as_fitted)
    none = learner.score_tasks(*new, n_tasks=5, n_inner_steps=0)
    learner.set_params(n_inner_steps=0)
    np.testing.assert_array_equal(learner.score_tasks(*new, n_tasks=5), none)
    assert np.abs(none - as_fitted).max() > 0
    with pytest.raises(ValueError, match="n_inner_steps must be"):
        learner.score_tasks(*new, n_inner_steps=-1)


def test_a_learner_without_steps_says_so():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.repeat(np.arange(6), 20)
    learner = ProtoNet(n_way=2, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match="ProtoNet adapts without gradient steps"):
        learner.score_tasks(X + 1, y + 10, n_inner_steps=3)


def test_published_settings():
    maml = MAML.as_published("omniglot", n_iterations=7)
    assert (maml.head_init, maml.inner_lr, maml.n_iterations) == ("learned", 0.4, 7)
    assert maml.meta_optimizer.clip_norm is None
    assert maml.meta_optimizer.resolve_schedule() == "constant"
    reptile = Reptile.as_published("omniglot", n_shot=5, n_query=5)
    assert (reptile.inner_optimizer, reptile.n_train_steps, reptile.n_inner_steps) == (
        "adam",
        5,
        50,
    )
    assert reptile.n_shot + reptile.n_query == 10
    assert reptile.meta_optimizer.resolve_schedule() == "linear"
    with pytest.raises(ValueError, match="data must be 'omniglot' for Reptile, got 'letters'"):
        Reptile.as_published("letters")
    with pytest.raises(ValueError, match="MetaSGD has no published settings here"):
        MetaSGD.as_published("omniglot")


def test_published_maml_has_one_learned_row_per_class():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.repeat(np.arange(6), 20)
    learner = MAML.as_published(
        "omniglot", backbone="mlp", n_way=3, n_iterations=2, meta_batch_size=2, random_state=0
    ).fit(X, y)
    assert learner.prior_.tensors["head.weight"].shape[0] == 3


def test_tasks_of_an_iteration_depend_on_the_network():
    assert read_settings(MAML()).meta_batch_size == 25
    assert read_settings(MAML(backbone="conv4")).meta_batch_size == 4
    assert read_settings(MAML(meta_batch_size=3)).meta_batch_size == 3


@pytest.mark.parametrize("learner", [MAML, MetaSGD, Reptile])
def test_parameters_of_the_algorithm_come_first(learner):
    names = list(inspect.signature(learner).parameters)
    assert names[:2] == ["inner_lr", "n_inner_steps"]
    assert names.index("n_train_steps") < names.index("backbone") < names.index("n_iterations")
    documented = [line.split(" : ")[0] for line in learner.__doc__.splitlines() if " : " in line]
    assert [n for n in documented if n in names] == names
