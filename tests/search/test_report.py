"""What a user sees of a search: lines, log and leaderboard."""

import logging
import re
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV

X, y = load_iris(return_X_y=True)
SPACE = {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": loguniform(1e-4, 1e1)}


def search(n_iter=6, **settings):
    settings = {"cv": 3, "random_state": 0, "prior": None} | settings
    pipe = make_pipeline(StandardScaler(), SVC())
    return MetaLearnedSearchCV(pipe, SPACE, n_iter=n_iter, **settings)


LINE = re.compile(
    r"\s*(\d+)/6: score (\S+), best (\S+), ([a-z ]+), fits ([0-9.]+) s, wall ([0-9.]+) s, (.+)"
)


NOTE = "The estimator as given is not tried: the space does not contain svc__gamma='scale'."


def check_lines(lines, found):
    first, note, *lines = lines
    assert note == NOTE
    assert first == "Fitting 3 folds for each of 6 candidates, totalling 18 fits"
    scores = found.cv_results_["mean_test_score"]
    parsed = [LINE.fullmatch(line).groups() for line in lines]
    assert [int(number) for number, *_ in parsed] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([float(p[1]) for p in parsed], scores, rtol=1e-4)
    best = np.maximum.accumulate(scores)
    np.testing.assert_allclose([float(p[2]) for p in parsed], best, rtol=1e-4)
    assert [p[3] for p in parsed] == list(found.cv_results_["source"])
    walls = [float(p[5]) for p in parsed]
    assert walls == sorted(walls)
    for (*_, told), params in zip(parsed, found.cv_results_["params"], strict=True):
        shown = dict(pair.split("=") for pair in told.split(" "))
        assert set(shown) == {"C", "gamma"}
        for name, value in shown.items():
            assert float(value) == pytest.approx(params[f"svc__{name}"], rel=1e-3)


def test_verbose_prints_one_line_per_candidate(capsys):
    found = search(verbose=1, n_jobs=1).fit(X, y)
    captured = capsys.readouterr()
    check_lines(captured.out.splitlines(), found)
    assert captured.err == ""


def test_a_default_space_and_what_is_kept_are_named(capsys):
    forest = RandomForestClassifier(max_features=2, n_estimators=5, random_state=0)
    found = MetaLearnedSearchCV(forest, n_iter=1, cv=2, prior=None, verbose=1).fit(X, y)
    _, searched, kept, _ = capsys.readouterr().out.splitlines()
    assert (
        searched
        == "Searched by default: bootstrap, criterion, min_samples_leaf, min_samples_split."
    )
    assert kept == "Kept as they were set: max_features=2. Pass param_distributions to search them."
    assert found.best_estimator_.max_features == 2
    MetaLearnedSearchCV(SVC(), param_grid={"C": [1, 2]}, cv=2, verbose=1).fit(X, y)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_lines_go_to_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="skmeta"):
        found = search().fit(X, y)
    check_lines([record.getMessage() for record in caplog.records], found)
    assert {record.name for record in caplog.records} == {"skmeta.search"}
    assert logging.getLogger("skmeta").handlers == []
    assert logging.getLogger("skmeta.search").handlers == []


def test_the_leaderboard_is_cv_results_sorted():
    found = search().fit(X, y)
    frame = found.leaderboard()
    assert list(frame) == ["rank", "score", "std", "source", "seconds", "C", "gamma"]
    assert frame.index[0] == found.best_index_
    assert frame["rank"].is_monotonic_increasing
    expected = pd.DataFrame(found.cv_results_).loc[frame.index]
    for ours, theirs in (("score", "mean_test_score"), ("std", "std_test_score")):
        np.testing.assert_array_equal(frame[ours], expected[theirs])
    np.testing.assert_array_equal(frame["source"], expected["source"])
    np.testing.assert_allclose(
        frame["seconds"], 3 * (expected["mean_fit_time"] + expected["mean_score_time"])
    )
    for row, params in expected["params"].items():
        assert frame.loc[row, "C"] == params["svc__C"]
        # gamma="scale" is that of the estimator as given
        assert frame.loc[row, "gamma"] == params["svc__gamma"]


def test_a_leaderboard_needs_a_fitted_search_and_pandas(monkeypatch):
    with pytest.raises(NotFittedError, match="not fitted"):
        search().leaderboard()
    found = search(n_iter=2).fit(X, y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[history\]'"):
        found.leaderboard()


def test_pipelines_are_told_apart(capsys, tmp_path):
    pipes = [make_pipeline(StandardScaler(), SVC()), make_pipeline(MinMaxScaler(), SVC())]
    found = MetaLearnedSearchCV(pipes, n_iter=2, cv=2, prior=None, random_state=0, verbose=1)
    found.fit(X, y)
    names = {"StandardScaler+SVC", "MinMaxScaler+SVC"}
    assert set(found.leaderboard()["model"]) == names
    told = capsys.readouterr().out
    page = found.report(tmp_path / "report.html").read_text()
    for name in names:
        assert name in page
    assert "model=MinMaxScaler+SVC" in told  # the first candidate has the first pipeline
