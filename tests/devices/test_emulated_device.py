"""Another device computes what the CPU computes, and nowhere are tensors of two devices mixed.

What the emulated device cannot show is listed in ``emulated_device.py``. The variable
``SKMETA_TEST_DEVICE`` names a real device to test instead, such as ``cuda``.
"""

import os
import subprocess
import sys
from pathlib import Path

import emulated_device
import numpy as np
import pytest
import torch
from marks import slow
from sklearn.base import clone
from tolerances import REFIT

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, learners
from skmeta._backend import resolve_device
from skmeta.bridges import skops
from skmeta.policy import MetaPolicy, PointNavigation, PolicyMAML

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

EMULATED = os.environ.get("SKMETA_TEST_DEVICE", emulated_device.NAME)
N_GROUPS, IMAGE = 12, (1, 8, 8)
DOUBLE = {"execution": learners.ExecutionOptions(precision="float64")}
QUICK = {
    "n_iterations": 3, "n_shot": 3, "n_query": 3, "meta_batch_size": 2, "random_state": 0,
    "n_way": 3, "validation": learners.Validation(0.2, n_tasks=4, every=2), **DOUBLE,
}  # fmt: skip
SMALL = {"backbone": "mlp", "backbone_params": {"hidden": (5,)}}
CONV = {"backbone": "conv4", "backbone_params": {"n_channels": 4, "n_blocks": 2}}
LEARNER = {
    "MAML": learners.MAML(**SMALL, **QUICK),
    "MAML-first_order": learners.MAML(first_order=True, head_init="prototype", **SMALL, **QUICK),
    "MAML-options": learners.MAML(
        n_inner_steps=2, multi_step_loss=0.8, learn={"inner_lr": "tensor and step"},
        **SMALL, **QUICK,
    ),
    "MAML-transductive": learners.MAML(transductive=True, **SMALL, **QUICK),
    "ANIL": learners.ANIL(**SMALL, **QUICK),
    "MetaSGD": learners.MetaSGD(**SMALL, **QUICK),
    "Reptile": learners.Reptile(**SMALL, **QUICK),
    "FineTuning": learners.FineTuning(n_inner_steps=5, **SMALL, **QUICK),
    "ALPaCA": learners.ALPaCA(**SMALL, **QUICK),
    "HierarchicalLinear": learners.HierarchicalLinear(),
    "InContextLearner": learners.InContextLearner(
        width=8, n_layers=1,
        **{**QUICK, "n_iterations": 1},
    ),
    "LSTMMetaLearner": learners.LSTMMetaLearner(n_inner_steps=2, **SMALL, **QUICK),
    "LearnedOptimizer": learners.LearnedOptimizer(n_inner_steps=2, **SMALL, **QUICK),
    "MetaNAS": learners.MetaNAS(**QUICK),
    "MetaNAS-budget": learners.MetaNAS(max_parameters=200, **QUICK),
}  # fmt: skip
CLASSIFIERS = {**LEARNER, "ProtoNet": learners.ProtoNet(**SMALL, **QUICK)}
IMAGES = {
    name: clone(learner).set_params(**CONV)
    for name, learner in CLASSIFIERS.items()
    if learner.get_params().get("backbone_params") and name not in ("FineTuning", "ALPaCA")
}  # fmt: skip
# The others go the same ways in regressions and in a loop.
FEW = ["MAML", "ALPaCA", "FineTuning", "InContextLearner", slow("MetaNAS")]
QUICK_ONES = ("MAML", "FineTuning", "InContextLearner", "HierarchicalLinear", "ProtoNet")
MOST = [n if n in QUICK_ONES else slow(n) for n in CLASSIFIERS]
# A value in double precision is the same but for the order of sums.
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
if EMULATED != emulated_device.NAME:
    CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def table():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(N_GROUPS), 10)
    X = rng.normal(size=(len(group), 3))
    return X, X[:, 0] + rng.normal(size=N_GROUPS)[group], group


def images():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(N_GROUPS), 8)
    return rng.normal(size=(len(label), *IMAGE)) + label[:, None, None, None] / 9, label


def fit(learner, *data, device=EMULATED, **settings):
    return clone(learner).set_params(device=device, **settings).fit(*data)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)


def tasks_of(name, kind):
    """Return rows, targets and groups; groups only for learners that need them."""
    X, y, group = table()
    if kind == "regression":
        return X, y, group
    needs_groups = name in ("FineTuning", "ALPaCA", "HierarchicalLinear")
    return (X, y > 0, group) if needs_groups else (X, group)


@pytest.fixture(scope="module")
def trained():
    known = {}

    def get(name, kind):
        if (name, kind) not in known:
            known[name, kind] = fit(CLASSIFIERS[name], *tasks_of(name, kind), device="cpu")
        return known[name, kind]

    return get


MIXTURES = {
    "add": lambda a, b: a + b,
    "add from the CPU": lambda a, b: b + a,
    "product": lambda a, b: b @ a,
    "cat": lambda a, b: torch.cat([a, b]),
    "where": lambda a, b: torch.where(b > 0, a, b),
    "gather": lambda a, b: a.gather(0, b.long()),
    "to an array": lambda a, b: np.asarray(a),
}


@pytest.mark.parametrize("mix", MIXTURES.values(), ids=MIXTURES.keys())
def test_a_mixture_of_devices_is_an_error(mix):
    # All other tests of this module can fail.
    with pytest.raises(RuntimeError, match=r"expected all tensors on one device|not supported"):
        mix(torch.ones(2, device=emulated_device.NAME), torch.ones(2))


def test_tensors_that_it_makes_are_its_own():
    a, eye = (make(2, 2, device=emulated_device.NAME) for make in (torch.ones, torch.eye))
    made = a.new_zeros(2), torch.zeros_like(a), a.double(), a[0], eye, a.T @ a
    assert {v.device for v in made} == {emulated_device.DEVICE}
    assert resolve_device(emulated_device.NAME).type == emulated_device.NAME
    assert a.cpu().device.type == "cpu"
    assert a.sum().item() == 4


@pytest.mark.parametrize("name", FEW)
def test_meta_training_of_regressions(name, trained):
    found = fit(LEARNER[name], *table())
    assert_same(found.prior_.tensors, trained(name, "regression").prior_.tensors)


@pytest.mark.parametrize("name", MOST)
def test_meta_training_of_classifications(name, trained):
    found = fit(CLASSIFIERS[name], *tasks_of(name, "classification"))
    assert_same(found.prior_.tensors, trained(name, "classification").prior_.tensors)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (name, mode) if name == "ProtoNet" else slow(name, mode)
        for name in IMAGES
        for mode in ("vmap", "loop")
    ],
)
def test_meta_training_on_images(name, mode):
    settings = {"execution": learners.ExecutionOptions(mode, precision="float64")}
    settings["augment"] = "mirror"
    found, expected = (
        fit(IMAGES[name], *images(), device=device, **settings).prior_.tensors
        for device in (EMULATED, "cpu")
    )
    assert_same(found, expected)


def test_no_learner_is_left_out():
    ours = {n for n, kind in learners.LEARNERS.items() if kind.__module__.startswith("skmeta.")}
    assert {type(learner).__name__ for learner in CLASSIFIERS.values()} == ours - {
        "GradientLearner",
        "InitialWeightsLearner",
        "InnerLoopLearner",
    }


def test_a_run_that_was_stopped_goes_on_elsewhere(tmp_path, monkeypatch):
    learner, gradient = LEARNER["MAML"], learners.MAML.algorithm.mean_gradient
    expected = fit(learner, *table(), device="cpu", n_iterations=6).prior_.tensors
    for first, then in ((EMULATED, "cpu"), ("cpu", EMULATED)):
        path = tmp_path / first
        settings = {"n_iterations": 6, "execution__checkpoint": path}

        left = iter(range(3))

        def stop(*args, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return gradient(*args)

        monkeypatch.setattr(learners.MAML.algorithm, "mean_gradient", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(learner, *table(), device=first, **settings)
        monkeypatch.undo()
        assert path.exists()
        assert_same(fit(learner, *table(), device=then, **settings).prior_.tensors, expected)


def few_shot(kind, prior, X, y, **settings):
    return [
        kind(prior, device=device, precision="float64", **settings).fit(X, y)
        for device in (EMULATED, "cpu")
    ]


@pytest.mark.parametrize("name", FEW)
def test_a_regression_adapts(name, trained):
    X, y, _ = table()
    prior = trained(name, "regression").prior_
    found, expected = few_shot(MetaFewShotRegressor, prior, X[:15], y[:15])
    for reg in (found, expected):
        reg.partial_fit(X[15:20], y[15:20])
    assert_same(found.adapted_, expected.adapted_)
    np.testing.assert_allclose(found.predict(X), expected.predict(X), **CLOSE)


@pytest.mark.parametrize("name", MOST)
def test_a_classification_adapts(name, trained):
    X, y, *_ = tasks_of(name, "classification")
    prior = trained(name, "classification").prior_
    one, other = few_shot(MetaFewShotClassifier, prior, X[:40], y[:40])
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), **CLOSE)


@pytest.mark.parametrize("kind", [MetaFewShotRegressor, MetaFewShotClassifier])
def test_priors_that_ship_predict_the_same_with_any_device(kind):
    X, y, _ = table()
    y = y if kind is MetaFewShotRegressor else y > 0
    predict = "predict" if kind is MetaFewShotRegressor else "predict_proba"
    found, expected = (getattr(m, predict)(X) for m in few_shot(kind, None, X[:30], y[:30]))
    np.testing.assert_allclose(found, expected, **REFIT)


@pytest.mark.slow
def test_an_estimator_is_saved_and_loaded_where_the_device_is_not(tmp_path):
    X, y, _ = table()
    path = tmp_path / "model.skops"
    reg, _ = few_shot(MetaFewShotRegressor, None, X, y)
    skops.dump(reg, path)
    code = (
        "import sys, warnings, numpy as np\n"
        "from skmeta.bridges import skops\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    found = skops.load(sys.argv[1]).predict(np.load(sys.argv[2]))\n"
        "print([str(w.message) for w in caught if 'device' in str(w.message)])\n"
        "np.save(sys.argv[3], found)\n"
    )
    np.save(tmp_path / "X.npy", X)
    arguments = [path, tmp_path / "X.npy", tmp_path / "found.npy"]
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert f"device='{EMULATED}'" in process.stdout
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), reg.predict(X), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("learn", [None, {"inner_lr": "weight"}], ids=str)
def test_policies(learn):
    family = PointNavigation()
    learner = PolicyMAML(
        learn=learn, n_iterations=2, meta_batch_size=2, n_episodes=3, random_state=0, **DOUBLE
    )
    found, expected = (
        learner.set_params(device=device).fit(family).prior_ for device in (EMULATED, "cpu")
    )
    assert_same(found.tensors, expected.tensors)
    (task,) = family.sample(1, np.random.default_rng(1))
    policies = [
        MetaPolicy(expected, device=device, precision="float64", random_state=0).fit(
            family.make(task), n_episodes=3
        )
        for device in (EMULATED, "cpu")
    ]
    assert_same(policies[0].adapted_, policies[1].adapted_)
    np.testing.assert_allclose(*(p.predict(np.ones(2)) for p in policies), **CLOSE)
