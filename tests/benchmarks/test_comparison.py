"""Comparisons: what is run, what is kept, and what the summary says of it."""

import argparse

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from benchmarks.lib.comparison import compare, read_results
from benchmarks.lib.intervals import bootstrap_interval
from benchmarks.lib.table_scores import classify, regress


def options(path, **changes):
    given = {"sizes": (5, 9), "draws": 2, "methods": None, "results": path, "summary": False}
    return argparse.Namespace(**given | changes)


@pytest.fixture
def runs():
    return []


@pytest.fixture
def compare_two(tmp_path, runs, capsys):
    """Compare two methods on two sets, of which one is too small for 9 rows."""

    def score(model, name, size, seed):
        if (name, size) == ("small", 9):
            return None
        runs.append((model, name, size, seed))
        return {"error": {"worse": 2.0, "ours": 1.0}[model.split()[0]] + seed}

    def call(**changes):
        methods = {m: lambda name, m=m: f"{m} {name}" for m in ("worse", "ours")}
        given = options(tmp_path / "results.jsonl.gz", **changes)
        compare(given, methods, ["large", "small"], score, ["error", "geometric"], "ours")
        return capsys.readouterr().out.splitlines()

    return call


def test_runs_go_on_where_they_stopped(compare_two, runs, tmp_path):
    compare_two(draws=1)
    assert len(runs) == 6
    lines = compare_two()
    assert len(runs) == 12
    assert len(set(runs)) == 12
    assert compare_two(summary=True) == lines
    assert len(runs) == 12
    done = read_results(tmp_path / "results.jsonl.gz")
    assert done["worse", "large", 9] == [{"error": 2.0}, {"error": 3.0}]
    assert ("ours", "small", 9) not in done


def test_a_summary_has_means_ranks_and_differences(compare_two):
    _, title, _, worse, ours, _, second_title, *_ = compare_two()
    assert title == "5 rows: 2 sets, 2 draws"
    assert " ".join(worse.split()) == "worse 2.5000 2.5000 2.00 -1.0000 [-1.0000, -1.0000]"
    assert " ".join(ours.split()) == "ours 1.5000 1.5000 1.00"
    assert second_title == "9 rows: 1 sets, 2 draws"


def test_an_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(3, 1, 400)
    mean, low, high = bootstrap_interval(values)
    assert mean == values.mean()
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_scores_are_those_of_known_predictions():
    class Half:
        """Class 1 with probability 0.6, whatever the row."""

        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.ones(len(X), int)

        def predict_proba(self, X):
            return np.tile([0.4, 0.6], (len(X), 1))

    X, y = np.zeros((4, 1)), np.array([0, 1, 1, 1])
    scores = classify(Half(), (X, y, X, y))
    assert scores["accuracy"] == 0.5
    assert scores["log_loss"] == pytest.approx(-(np.log(0.4) + np.log(0.6)) / 2)
    assert scores["calibration"] == pytest.approx(0.1)
    part = (X, np.array([1.0, 3, 1, 3]), X, np.array([0.0, 1, 2, 3]))
    assert regress(DummyRegressor(), part)["error"] == 1
