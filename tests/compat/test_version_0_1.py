"""Files and pickles of version 0.1 load, predict as they did there, and resume."""

import json
import pickle
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import joblib
import numpy as np
import pytest
from make_data import (
    MLP,
    SMALL,
    fit_task,
    make_classes,
    make_task,
    make_tasks,
    predict,
)

from skmeta._renamed import MOVED, RENAMED
from skmeta.learners import MAML
from skmeta.priors import MetaPrior

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
STEMS = sorted(name for name in EXPECTED if name.endswith(("-classification", "-regression")))
RTOL = 1e-6

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.InconsistentVersionWarning"  # the files hold fitted estimators
)


def load(path):
    return joblib.load(path) if path.suffix == ".joblib" else pickle.loads(path.read_bytes())


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=1e-9)


def test_the_data_are_small():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 500_000


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "name"), EXPECTED["names"])
def test_names_that_a_pickle_may_hold(module, name):
    found = pickle.loads(f"c{module}\n{name}\n.".encode())
    assert callable(found)


@pytest.mark.parametrize("old", sorted(MOVED))
def test_moved_modules_are_where_the_table_says(old):
    assert all(import_module(f"skmeta.{new}") for new in MOVED[old])
    with pytest.raises(AttributeError, match=r"has moved to skmeta\..*was removed after"):
        import_module(f"skmeta.{old}").no_such_name  # noqa: B018


def test_renamed_classes_are_where_the_table_says():
    assert {old for old, _ in RENAMED} <= MOVED.keys()
    assert all(hasattr(import_module(f"skmeta.{new}"), name) for new, name in RENAMED.values())


def test_other_modules_are_still_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'skmeta\.tasks\._nothing'"):
        import_module("skmeta.tasks._nothing")


def test_old_names_cost_nothing_until_they_are_used():
    code = (
        "import sys, skmeta; sys.exit(any('torch' == m or '._renamed.' in m for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- few-shot learning -----------------------------------------------------------------------------


@pytest.mark.parametrize("stem", STEMS)
def test_priors(stem):
    prior = MetaPrior.load(DATA / f"{stem}.skmeta")
    assert prior.digest == EXPECTED[stem]["digest"]
    assert_close(predict(fit_task(prior), make_task()[3]), EXPECTED[stem]["predictions"])


@pytest.mark.filterwarnings("ignore::skmeta.exceptions.OverlapWarning")
@pytest.mark.parametrize("stem", STEMS)
def test_fitted_learners(stem):
    learner = load(DATA / f"{stem}.learner.joblib")
    assert learner.prior_.digest == EXPECTED[stem]["digest"]
    found = {name: values for name, values in learner.history_.items() if name != "seconds"}
    assert found == EXPECTED[stem]["history"]
    name, _, kind = stem.rpartition("-")
    X, *others = make_tasks(name, kind)
    # Version 0.1 rounded rows to single precision before it standardised them, not afterwards.
    score = learner.score(np.asarray(X, dtype=np.float32), *others)
    assert_close(score, EXPECTED[stem]["score"])


@pytest.mark.parametrize(
    "path", sorted([*DATA.glob("*.estimator.joblib"), *DATA.glob("*.estimator.pickle")]), ids=str
)
def test_fitted_few_shot_estimators(path):
    expected = EXPECTED[path.name.split(".")[0]]
    estimator = load(path)
    assert estimator.prior_.digest == expected["digest"]
    assert_close(predict(estimator, make_task()[3]), expected["predictions"])
    again = pickle.loads(pickle.dumps(estimator))
    assert_close(predict(again, make_task()[3]), expected["predictions"])


@pytest.mark.parametrize("name", ["MAML-classification", "InContextLearner-classification"])
def test_fitted_estimators_learn_more(name):
    X, labels, _, query = make_task()
    estimator = load(DATA / f"{name}.estimator.joblib").partial_fit(X, labels)
    fresh = fit_task(MetaPrior.load(DATA / f"{name}.skmeta")).partial_fit(X, labels)
    assert_close(predict(estimator, query), predict(fresh, query))


# -- checkpoints -----------------------------------------------------------------------------------


def test_a_checkpoint_resumes(tmp_path):
    path, expected = tmp_path / "run", EXPECTED["checkpoint"]
    shutil.copy(DATA / "run.checkpoint", path)
    learner = MAML(n_inner_steps=2, **MLP, **SMALL | {"n_iterations": 8}, checkpoint=path)
    learner.fit(*make_classes())
    found = {name: values for name, values in learner.history_.items() if name != "seconds"}
    assert found.keys() >= expected["history"].keys()
    for name, values in expected["history"].items():
        np.testing.assert_allclose(found[name], values, rtol=RTOL, err_msg=name)
    assert learner.prior_.tensors.keys() == expected["tensors"].keys()
    for name, tensor in expected["tensors"].items():
        np.testing.assert_allclose(
            learner.prior_.tensors[name], tensor, rtol=1e-5, atol=1e-7, err_msg=name
        )
    # It went on from there, rather than from the start: the first rows are those of the file.
    rows = {name: found[name][:2] for name in expected["history"]}
    assert rows == {name: values[:2] for name, values in expected["history"].items()}
