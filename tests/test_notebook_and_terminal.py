"""What a notebook and a terminal show: tables and progress."""

import inspect
import pickle

import numpy as np
import pytest
from builders import make_prior
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from sklearn.utils import estimator_html_repr

import skmeta
from skmeta._html import facts_table, table
from skmeta._progress import progress_bar
from skmeta.learners import ProtoNet
from skmeta.search import MetaLearnedSearchCV, SearchHistory

X, y = load_iris(return_X_y=True)


def test_tables_escape_what_they_show():
    assert "&lt;b&gt;" in facts_table("a", {"x": "<b>", "y": None})
    assert "y" not in facts_table("a", {"x": "<b>", "y": None}).replace("body", "")
    assert table("c", ["<h>"], [["<r>", 1]]).count("&lt;") == 2


def test_a_prior_is_a_table():
    tensors, params = {"body.weight": np.ones((4, 3))}, {"inner_lr": 0.4}
    prior = make_prior(
        tensors=tensors, learner_params=params, backbone="<mlp>", backbone_params={},
        trained_on=["a", "b"],
    )  # fmt: skip
    html = prior._repr_html_()
    for text in ("MAML", "inner_lr=0.4", "&lt;mlp&gt;", "2 classes", "12", prior.digest[:12]):
        assert text in html
    assert "settings of the network" not in html


def test_a_history_is_a_table(tmp_path):
    history = SearchHistory(tmp_path / "h.db")
    history.add(SVC(), [{"C": 1.0}, {"C": 10.0}], [0.8, 0.9], dataset="iris")
    html = history._repr_html_()
    assert '<th scope="row">SVC</th><td>1</td><td>1</td><td>2</td>' in html
    history.close()
    (tmp_path / "h.db").write_bytes(b"no database" * 100)
    assert html != history._repr_html_()
    assert "SearchHistory" in history._repr_html_()


@pytest.mark.parametrize("name", ["GroupedRegressor", "GroupedClassifier"])
def test_a_display_of_a_fitted_estimator_computes_nothing(name, monkeypatch):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.repeat(np.arange(12), 5), rng.normal(size=60)])
    y = X[:, 1] + rng.normal(size=12)[X[:, 0].astype(int)] + rng.normal(size=60)
    model = getattr(skmeta, name)(0, model="mixed").fit(X, y > 0 if "Class" in name else y)
    lazy = {"effects_", "losses_", "summary_"}
    properties = {
        key
        for key, value in inspect.getmembers(type(model))
        if key.endswith("_") and not key.startswith("_") and isinstance(value, property)
    }
    for module in ("coefficients", "summarise", "effects_frame", "losses_frame"):
        monkeypatch.setattr(f"skmeta.grouped._base.{module}", fail, raising=False)
    html = estimator_html_repr(model)
    assert "groups_" in html
    if "Fitted attributes" in html:  # of scikit-learn 1.9 and later
        assert html.count("computed when it is read") == len(lazy)
    monkeypatch.undo()
    values = {key: getattr(model, key) for key in properties}
    assert lazy <= values.keys()
    # What was read is kept, and shown.
    monkeypatch.setattr("skmeta.grouped._base.summarise", fail)
    assert model.summary_ == values["summary_"]
    assert "computed when it is read" not in estimator_html_repr(model)
    mine = model.effects_
    mine["intercept"] = 0.0
    assert (model.effects_["intercept"] != 0).any()
    monkeypatch.undo()
    new = X[:5] + np.array([0.0, 0.1])  # other rows of known groups
    more = model.partial_fit(new, (y > 0)[:5] if "Class" in name else y[:5])
    assert more.effects_["rows"].iloc[0] == values["effects_"]["rows"].iloc[0] + 5
    assert pickle.loads(pickle.dumps(model)).summary_ == model.summary_


def fail(*args, **kwargs):
    raise AssertionError("a display computes")


def is_plain(text):
    return all(character.isprintable() or character == "\n" for character in text)


def test_a_log_gets_lines_without_control_characters(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    with progress_bar(7, "work", "steps", verbose=1, initial=1) as bar:
        bar.set_postfix({"best": "0.5"}, refresh=False)
        for _ in range(6):
            now[0] += 13
            bar.update()
    error = capsys.readouterr().err
    assert is_plain(error)
    assert error.splitlines() == [
        "work: 1/7 steps, 00:00",
        "work: 4/7 steps, 00:39, best=0.5",
        "work: 7/7 steps, 01:18, best=0.5",
    ]


@pytest.mark.parametrize("verbose", ["bar", "auto", 0])
def test_a_search_writes_plain_lines_if_asked(verbose, capsys):
    search = MetaLearnedSearchCV(
        SVC(), {"C": [0.1, 1.0, 10.0]}, n_iter=2, cv=2, prior=None, verbose=verbose
    )
    search.fit(X, y)
    error = capsys.readouterr().err
    assert is_plain(error)
    assert ("search: 2/2 candidates" in error) == (verbose == "bar")


@pytest.mark.parametrize("verbose", ["bar", 1, "auto", 0])
def test_a_learner_writes_plain_lines_if_asked(verbose, capsys):
    ProtoNet(n_way=3, n_iterations=3, validation=0, verbose=verbose).fit(X, y)
    error = capsys.readouterr().err
    assert is_plain(error)
    assert ("meta-training: 3/3 iterations" in error) == (verbose in ("bar", 1))


@pytest.mark.parametrize(("seconds", "is_shown"), [(0.5, False), (3.0, True)])
def test_a_long_fit_shows_a_bar_in_a_terminal(seconds, is_shown, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("skmeta._progress.is_interactive", lambda: True)
    meta_loss = ProtoNet.algorithm.meta_loss

    def slow(*args):
        now[0] += seconds / 4
        return meta_loss(*args)

    monkeypatch.setattr(ProtoNet.algorithm, "meta_loss", slow)
    ProtoNet(
        n_way=3, n_iterations=2, meta_batch_size=2, validation=0, execution="loop", random_state=0
    ).fit(X, y)
    assert ("meta-training" in capsys.readouterr().err) == is_shown
