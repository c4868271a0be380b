"""What README says of plain models, on the data of its cards."""

import json
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.lib.resumable import lines_by_cell
from benchmarks.measure import readme
from skmeta.search import default_search_space

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")


SUMMARY = readme.summarize(lines_by_cell(readme.PATH))


def text_of(value):
    return f"{value:.2f}"


def test_twenty_penguins_over_draws():
    record = SUMMARY["penguins"]
    default, tuned, forest, boosting = (text_of(record[name]) for name in readme.PLAIN)
    gain, half = (text_of(record[name]) for name in ("gain", "half of the interval"))
    sentence = (
        f"Over {record['draws']} such draws it has {text_of(record['skmeta'])}. Behind one-hot "
        f"columns and imputation, ``Ridge()`` has {default}, too (difference {gain} ± {half}), a "
        f"ridge tuned by cross-validation {tuned}, a random forest {forest}, and boosted trees "
        f"{boosting}"
    )
    assert record["best plain model"] == "ridge, default"
    assert sentence in " ".join(README.split())


def test_new_chicks_over_draws():
    before, after = SUMMARY["chicks"], SUMMARY["chicks, five known"]
    best = [text_of(one[one["best plain model"]]) for one in (before, after)]
    gains = [
        f"{text_of(one['gain'])} ± {text_of(one['half of the interval'])}"
        for one in (before, after)
    ]
    sentence = (
        f"Over {before['draws']} draws of 16 new chicks it has {text_of(before['skmeta'])} and "
        f"then {text_of(after['skmeta'])}. The best of ridge regression, random forest and boosted "
        f"trees, with the chick as one-hot columns, is the ridge: {best[0]} (difference "
        f"{gains[0]}), and with the five weighings {best[1]} ({gains[1]})."
    )
    assert {one["best plain model"][:5] for one in (before, after)} == {"ridge"}
    assert sentence in " ".join(README.split())


def test_a_stored_draw_is_what_the_code_finds():
    stored = lines_by_cell(readme.PATH)["penguins", 3]
    found = readme.penguins(3)
    assert found.keys() == stored.keys() - {"cell"}
    for name, score in found.items():
        assert score == pytest.approx(stored[name], abs=0.01)


def test_the_searches_over_seeds():
    path = ROOT / "benchmarks/results/readme_search.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    low, high = record["interval"]
    sentence = (
        f"Over {record['seeds']} seeds it is {record['ours']:.3f} on average, and that of the "
        f"random search {record['random']:.3f}; the difference is {record['difference']:.3f} (95% "
        f"interval {low:.3f} to {high:.3f})."
    )
    assert sentence in " ".join(README.split())


def test_a_random_search_of_the_card():
    X, y = load_breast_cancer(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), SVC())
    search = RandomizedSearchCV(pipe, default_search_space(pipe), n_iter=10, random_state=0)
    record = json.loads((ROOT / "benchmarks/results/readme_search.json").read_text("utf-8"))
    first = record["first seed"]["random"]
    assert search.fit(X, y).best_score_ == pytest.approx(first, abs=1e-3)
