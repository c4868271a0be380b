"""Make the files that ``test_version_0_1.py`` loads.

Run it with version 0.1 of skmeta (commit a6a1c82), never with a later one::

    git worktree add --detach ../version-0.1 a6a1c82
    PYTHONPATH=../version-0.1 python tests/compat/make_data.py tests/compat/data
"""

import io
import json
import pickle
import sys
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np

import skmeta
from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.learners import (
    ANIL,
    MAML,
    FineTuning,
    InContextLearner,
    LearnedOptimizer,
    LSTMMetaLearner,
    MetaNAS,
    MetaSGD,
    ProtoNet,
    Reptile,
)

N_FEATURES = 4
SMALL = {
    "n_way": 3,
    "n_shot": 2,
    "n_query": 2,
    "n_iterations": 4,
    "meta_batch_size": 2,
    "evaluate_every": 2,
    "n_validation_tasks": 2,
    "device": "cpu",
    "execution": "loop",
    "random_state": 0,
}
MLP = {"backbone": "mlp", "backbone_params": {"hidden": (5,)}}
CELLS = {"backbone_params": {"n_cells": 1, "n_nodes": 2, "width": 5}}
TABLES = {"width": 8, "n_layers": 1, "n_heads": 2, "cell_width": 4}
LEARNERS = {
    "ANIL": ANIL(n_inner_steps=2, **MLP, **SMALL),
    "FineTuning": FineTuning(**MLP, **SMALL),
    "InContextLearner": InContextLearner(**TABLES, **SMALL),
    "LSTMMetaLearner": LSTMMetaLearner(n_inner_steps=2, **MLP, **SMALL),
    "LearnedOptimizer": LearnedOptimizer(n_inner_steps=2, **MLP, **SMALL),
    "MAML": MAML(n_inner_steps=2, **MLP, **SMALL),
    "MAML-options": MAML(
        n_inner_steps=2,
        multi_step_loss=0.8,
        learn_inner_lr=True,
        per_step_norm=True,
        **MLP,
        **SMALL,
    ),
    "MetaNAS": MetaNAS(n_inner_steps=2, **CELLS, **SMALL),
    "MetaSGD": MetaSGD(n_inner_steps=2, **MLP, **SMALL),
    "ProtoNet": ProtoNet(**MLP, **SMALL),
    "Reptile": Reptile(n_inner_steps=2, **MLP, **SMALL),
}
REGRESSIONS = ("FineTuning", "InContextLearner", "MAML", "MetaSGD", "Reptile")
ESTIMATORS = ("InContextLearner", "MAML", "MetaSGD", "ProtoNet")


def make_classes():
    """Return twelve classes of six rows."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 6)
    return rng.normal(size=(72, N_FEATURES)) + rng.normal(size=(12, N_FEATURES))[y], y


def make_groups():
    """Return twelve linear regressions of six rows."""
    X, groups = make_classes()
    slopes = np.random.default_rng(1).normal(size=(12, N_FEATURES))
    return X, (X * slopes[groups]).sum(1), groups


def make_tasks(name, kind):
    """Return what a learner is fitted on."""
    if kind == "regression":
        return make_groups()
    X, y = make_classes()
    # Outputs of the one model of FineTuning mean the same in every task.
    return (X, np.array(list("abc") * 24), y) if name == "FineTuning" else (X, y)


def make_task():
    """Return a support set with labels and targets, and a query set."""
    rng = np.random.default_rng(2)
    labels = np.array(["a", "b", "c"] * 3)
    X = rng.normal(size=(9, N_FEATURES)) + (labels == "b")[:, None] - (labels == "c")[:, None]
    return X, labels, X @ np.array([1.0, -2.0, 0.5, 0.0]), rng.normal(size=(6, N_FEATURES))


def predict(estimator, X):
    """Return probabilities of a classifier, or predictions of a regressor."""
    return getattr(estimator, "predict_proba", estimator.predict)(X).tolist()


def fit_task(prior):
    """Fit a few-shot estimator that starts from a prior."""
    X, labels, targets, _ = make_task()
    settings = {"prior": prior, "device": "cpu", "random_state": 0}
    if prior.kind == "regression":
        return MetaFewShotRegressor(**settings).fit(X, targets)
    return MetaFewShotClassifier(**settings).fit(X, labels)


def write_few_shot(folder, expected):
    """Write learners, their priors, and estimators that start from some of them."""
    query = make_task()[3]
    for name, learner in LEARNERS.items():
        for kind in ("classification", "regression"):
            if kind == "regression" and name not in REGRESSIONS:
                continue
            data = make_tasks(name, kind)
            prior = learner.fit(*data).prior_
            stem = f"{name}-{kind}"
            prior.save(folder / f"{stem}.skmeta")
            joblib.dump(learner, folder / f"{stem}.learner.joblib", compress=9)
            estimator = fit_task(prior)
            if name in ESTIMATORS:
                joblib.dump(estimator, folder / f"{stem}.estimator.joblib", compress=9)
                if name != "InContextLearner":  # too large
                    (folder / f"{stem}.estimator.pickle").write_bytes(pickle.dumps(estimator))
            expected[stem] = {
                "digest": prior.digest,
                "history": {k: v for k, v in learner.history_.items() if k != "seconds"},
                "score": learner.score(*data),
                "predictions": predict(estimator, query),
            }


def write_checkpoint(folder, expected):
    """Write the checkpoint of a run that was stopped half-way, and how it ends otherwise."""
    learner = MAML(n_inner_steps=2, **MLP, **SMALL | {"n_iterations": 8})
    whole = learner.fit(*make_classes())
    expected["checkpoint"] = {
        "params": {k: v for k, v in SMALL.items() if k != "n_iterations"},
        "digest": whole.prior_.digest,
        "history": {k: v for k, v in whole.history_.items() if k != "seconds"},
        "tensors": {n: v.tolist() for n, v in whole.prior_.tensors.items()},
    }
    from skmeta.training import _loop

    step, done = _loop._Run.step, []

    def stop(run, objective):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(1)
        return step(run, objective)

    _loop._Run.step = stop
    try:
        learner.set_params(checkpoint=folder / "run.checkpoint").fit(*make_classes())
    except KeyboardInterrupt:
        _loop._Run.step = step
    else:
        raise AssertionError("the run was not stopped")


class _Recorder(pickle.Unpickler):
    """Records the names of skmeta that a pickle holds."""

    names: ClassVar[set] = set()

    def find_class(self, module, name):
        if module.startswith("skmeta."):
            self.names.add((module, name))
        return super().find_class(module, name)


def find_names(folder):
    """Return the classes and functions that a pickle of version 0.1 can name."""
    for path in folder.iterdir():
        if path.suffix == ".joblib":
            _Recorder(io.BytesIO(pickle.dumps(joblib.load(path)))).load()
        elif path.suffix == ".pickle":
            _Recorder(io.BytesIO(path.read_bytes())).load()
    for room in ("backbones", "datasets", "few_shot", "learners", "priors", "tasks"):
        package = import_module(f"skmeta.{room}")
        for value in (getattr(package, name) for name in package.__all__):
            if isinstance(value, type) and value.__module__.startswith("skmeta."):
                _Recorder.names.add((value.__module__, value.__qualname__))
    return sorted(map(list, _Recorder.names))


def main(folder):
    """Write all files."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    assert not any(folder.iterdir()), "the folder must be empty"
    warnings.simplefilter("ignore")
    expected = {}
    write_few_shot(folder, expected)
    write_checkpoint(folder, expected)
    expected["names"] = find_names(folder)
    names = ("numpy", "scipy", "scikit-learn", "torch", "joblib", "pandas", "pyarrow")
    expected["versions"] = {name: version(name) for name in names}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(skmeta.__file__, sum(p.stat().st_size for p in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
