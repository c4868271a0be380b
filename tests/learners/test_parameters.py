"""A learner takes no parameter without effect, and what was made when it did still loads."""

import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest

from skmeta import MetaFewShotClassifier
from skmeta.learners import LEARNERS, MAML, FineTuning, InContextLearner, ProtoNet, Reptile
from skmeta.learners._core._fit import _fingerprint

OURS = {n: cls for n, cls in LEARNERS.items() if cls.__module__.startswith("skmeta.")}
REMOVED = [
    (ProtoNet, "head_init", "learned"),
    (ProtoNet, "task_type", "auto"),
    (InContextLearner, "head_init", "zeros"),
    (Reptile, "first_order", True),
    (FineTuning, "first_order", True),
]
# Fingerprints of runs of version 0.1, computed with it.
FINGERPRINTS = {
    ProtoNet: "e48e0cd7679b01252e572f64fbac8a5ab079709ed7d21fe65ba75912640d7134",
    Reptile: "c74d468d65efe8a5f11462973f08d6caff702e7fe4b9f5d3f5d5c1a5174e9c94",
    FineTuning: "1bbf117902ef3d068a894aabe9bd49362fa4797252942c118df57e9ee38e90fa",
    InContextLearner: "897767ec6a42e57a7372dfbf6d6e2f7df52459d19f2eac009b540ca1349c5e08",
    MAML: "a94daf85e2ba8852c480a7bc64f853d3a4c02d58bbdb780a7879c676f51b422e",
}


@pytest.mark.parametrize(("learner", "name", "value"), REMOVED)
def test_a_parameter_without_effect_is_gone(learner, name, value):
    with pytest.raises(TypeError, match=name):
        learner(**{name: value})


@pytest.mark.parametrize(("learner", "name", "value"), REMOVED)
def test_a_pickle_that_has_it_loads_without(learner, name, value):
    old = learner(n_shot=3)
    vars(old)[name] = value
    loaded = pickle.loads(pickle.dumps(old))
    assert name not in vars(loaded)
    assert loaded.n_shot == 3
    assert set(vars(loaded)) == set(loaded.get_params())


def test_a_prior_that_has_it_is_adapted():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 6)
    X = rng.normal(size=(36, 2)) + 5 * rng.normal(size=(6, 2))[y]
    learner = ProtoNet(n_way=2, n_shot=2, n_query=2, n_iterations=1, random_state=0)
    prior = learner.fit(X, y).prior_
    params = dict(prior.learner_params) | {"head_init": "learned", "task_type": "auto"}
    old = prior.replace(learner_params=params)
    expected = MetaFewShotClassifier(prior).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(MetaFewShotClassifier(old).fit(X, y).predict_proba(X), expected)


@pytest.mark.parametrize("learner", FINGERPRINTS)
def test_a_checkpoint_of_version_0_1_belongs_to_the_same_run(learner):
    source = SimpleNamespace(X=np.arange(6.0).reshape(3, 2), y=np.arange(3))
    assert _fingerprint(learner(random_state=0), source, None) == FINGERPRINTS[learner]


@pytest.mark.parametrize("name", OURS)
def test_the_docstring_lists_each_parameter_in_one_group(name):
    cls = OURS[name]
    if "Parameters\n------" not in (cls.__doc__ or ""):
        assert name in ("GradientLearner", "InnerLoopLearner")
        return
    intro, _, rest = cls.__doc__.partition("Parameters\n------")
    groups = intro.partition("The parameters are in groups:")[2]
    assert sorted(re.findall(r"``(\w+)``", groups)) == sorted(cls._get_param_names())
    documented = re.findall(r"^(\w+) : ", rest.partition("Attributes\n-----")[0], re.MULTILINE)
    assert sorted(documented) == sorted(cls._get_param_names())
