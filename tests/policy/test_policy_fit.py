"""Meta-training: reproducible, resumable, the same for any way of execution."""

import numpy as np
import pytest
import torch
from marks import slow
from scipy.stats import uniform
from sklearn.base import clone
from tabular import Tabular

from skmeta.exceptions import FileFormatError
from skmeta.learners import ExecutionOptions, Validation
from skmeta.policy import EnvironmentFamily, PointNavigation, PolicyMAML

SMALL = {"backbone_params": {"hidden": (8,)}, "n_iterations": 4, "meta_batch_size": 3}
SMALL |= {"n_episodes": 4, "validation": Validation(0.0, every=2), "random_state": 0}
LEARNERS = [
    PolicyMAML(**SMALL),
    PolicyMAML(
        **SMALL, n_inner_steps=2, multi_step_loss=True, learn={"inner_lr": "tensor and step"}
    ),
    PolicyMAML(**SMALL, estimator="dice"),
    PolicyMAML(**SMALL, n_inner_steps=0),
    PolicyMAML(**SMALL, learn={"inner_lr": "weight"}, first_order=True),
]
MOST = [LEARNERS[0], *map(slow, LEARNERS[1:])]


class Interrupted:
    """A family whose n-th meta-batch is never drawn."""

    def __init__(self, family, n):
        self.family, self.n = family, n
        self.max_episode_steps = family.max_episode_steps

    def sample(self, n, rng):
        self.n -= 1
        if self.n < 0:
            raise KeyboardInterrupt
        return self.family.sample(n, rng)

    def make(self, task):
        return self.family.make(task)

    def make_vector(self, tasks, n_episodes):
        return self.family.make_vector(tasks, n_episodes)


@pytest.mark.parametrize("learner", MOST)
def test_the_same_seed_gives_the_same_weights_whatever_the_threads(learner):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = clone(learner).set_params(execution="loop").fit(PointNavigation()).prior_
    threads = ExecutionOptions("threads", n_jobs=2)
    two = clone(learner).set_params(execution=threads).fit(PointNavigation()).prior_
    assert one.tensors.keys() == two.tensors.keys()
    for key, value in one.tensors.items():
        assert np.array_equal(value, two.tensors[key]), key
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    other = clone(learner).set_params(random_state=1).fit(PointNavigation()).prior_
    assert not np.array_equal(one.tensors["head.weight"], other.tensors["head.weight"])


@pytest.mark.parametrize("learner", LEARNERS[:3])
def test_vectorised_tasks_agree_up_to_rounding(learner):
    one, two = (
        clone(learner)
        .set_params(execution=ExecutionOptions(mode, precision="float64"), n_iterations=2)
        .fit(Tabular())
        .prior_
        for mode in ("loop", "vmap")
    )
    for key, value in one.tensors.items():
        np.testing.assert_allclose(value, two.tensors[key], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("learner", MOST)
def test_an_interrupted_fit_resumes_exactly(learner, tmp_path):
    family = PointNavigation()
    whole = clone(learner).fit(family)
    resumed = clone(learner).set_params(execution__checkpoint=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        # Two draws for the spaces and the scale, three for the fingerprint's one, then batches.
        resumed.fit(Interrupted(family, 6))
    assert (tmp_path / "run").exists()
    resumed.fit(Interrupted(family, 10**9))
    assert resumed.prior_.digest == whole.prior_.digest
    assert resumed.learning_curve_["train_score"] == whole.learning_curve_["train_score"]
    assert resumed.learning_curve_["iteration"] == [2, 4]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    learner = PolicyMAML(**SMALL, execution=ExecutionOptions(checkpoint=tmp_path / "run"))
    learner.fit(PointNavigation())
    with pytest.raises(FileFormatError, match="belongs to a run with other parameters"):
        clone(learner).set_params(inner_lr=0.3).fit(PointNavigation())
    with pytest.raises(FileFormatError, match="belongs to a run with other parameters"):
        clone(learner).fit(PointNavigation(max_episode_steps=50))


FAMILIES = [
    EnvironmentFamily("CartPole-v1", {"length": uniform(0.25, 0.75)}, max_episode_steps=20),
    EnvironmentFamily("Pendulum-v1", {"g": uniform(6, 8)}, max_episode_steps=20),
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.env_id)
def test_other_families(family):
    learner = PolicyMAML(**SMALL | {"n_iterations": 2}).fit(family)
    assert learner.prior_.kind == "policy"
    assert learner.score_tasks(family, n_tasks=2, n_updates=2).shape == (3, 2)
    assert np.isfinite(learner.score(family))


def test_validation_chooses_the_best_state():
    learner = PolicyMAML(**SMALL | {"validation": Validation(n_tasks=5, every=2)}).fit(
        PointNavigation()
    )
    scores = learner.learning_curve_["validation_score"]
    assert len(scores) == 2
    assert all(np.isfinite(scores))


def test_meta_training_improves_the_return_after_adaptation():
    settings = {"backbone_params": {"hidden": (16,)}, "n_iterations": 25, "meta_batch_size": 10}
    settings |= {"meta_lr": 1e-2}
    settings |= {"inner_lr": 0.3, "execution": "loop", "random_state": 0}
    family = PointNavigation(max_episode_steps=20)
    learner = PolicyMAML(**settings)
    learner.fit(family)
    trained = learner.score_tasks(family, n_tasks=20)
    learner.prior_ = learner.initial_prior(family)
    drawn = learner.score_tasks(family, n_tasks=20)
    assert trained[1].mean() > drawn[1].mean() + 0.3
    assert trained[1].mean() > trained[0].mean() + 1
