"""What a user sees of a search: lines, log, leaderboard, and the page of a report, parsed."""

import base64
import hashlib
import logging
import re
import sys
import warnings
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: F401 (in code)
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.search import MetaLearnedSearchCV, SearchHistory

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "img"}
X, y = load_iris(return_X_y=True)


class Page(HTMLParser):
    """Elements and texts of a page; fails if an element is not closed where it should be."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self._open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self._open.pop() == name

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, name):
        return [attributes for element, attributes in self.elements if element == name]

    def text_of(self, name):
        return [data for element, data in self.texts if element == name]


class NamedSVC(SVC):
    """Takes any text as a parameter."""

    def __init__(self, C=1.0, gamma="scale", note=""):
        super().__init__(C=C, gamma=gamma)
        self.note = note


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    return SearchHistory(tmp_path_factory.mktemp("report") / "searches.db")


@pytest.fixture(scope="module")
def evil(reported):
    """A search with markup in the name of the data set and in values, and with failed fits."""
    space = {"C": [-1.0, 0.1, 1.0, 10.0], "gamma": [0.1, 1.0, "scale"], "note": [EVIL, "plain"]}
    search = MetaLearnedSearchCV(
        NamedSVC(), space, n_iter=12, cv=3, prior=None, random_state=0, history=reported
    )
    with warnings.catch_warnings(action="ignore", category=FitFailedWarning):
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        return search.set_params(name=EVIL).fit(X, y)


@pytest.fixture(scope="module")
def ordinary(reported):
    """A search of a pipeline that starts from the prior that ships."""
    pipe = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(0.1, 100), "svc__gamma": loguniform(1e-3, 1)}
    settings = {"n_iter": 10, "cv": 3, "random_state": 0, "history": reported, "name": "iris"}
    settings |= {"scoring": ["accuracy", "f1_macro"], "refit": "accuracy", "prior": "shipped"}
    return MetaLearnedSearchCV(pipe, space, **settings).fit(X, y)


@pytest.fixture(scope="module")
def pages(evil, ordinary, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    return [search.report(path).read_text() for search in (evil, ordinary)]


@pytest.fixture(params=[0, 1], ids=["evil", "ordinary"])
def text(request, pages):
    return pages[request.param]


def test_markup_stays_text(pages):
    page = Page(pages[0])
    assert page.all("script") == []
    assert EVIL not in pages[0]
    assert any(EVIL in heading for heading in page.text_of("h1"))
    assert EVIL in page.text_of("td")


def test_nothing_is_loaded_or_run(text):
    page = Page(text)
    [policy] = [m["content"] for m in page.all("meta") if "content" in m and "-src" in m["content"]]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == "'none'"
    assert rules["img-src"] == "data:"
    [style] = page.text_of("style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules["style-src"] == f"'sha256-{digest}'"
    names = Counter(name for name, _ in page.elements)
    forbidden = {"link", "svg", "iframe", "object", "embed", "base", "form", "image", "script"}
    assert not names.keys() & forbidden
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert attributes.get("src", "data:image/svg+xml;base64,").startswith("data:image/svg+xml;")
        assert "href" not in attributes
    assert "//" not in re.sub(r'"data:[^"]*"', "", text)
    assert "url(" not in text


def test_tables_and_pictures_are_described(text):
    page = Page(text)
    assert len(page.all("table")) == len(page.all("caption")) > 0
    assert all(a.get("scope") in ("col", "row") for a in page.all("th"))
    assert all(a["alt"] for a in page.all("img"))
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("img")) == 3
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1


def rows_of(text):
    body = text.partition("<h2>Leaderboard")[2].partition("</table>")[0]
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body)
    ]


def test_the_leaderboard_is_that_of_the_search(ordinary, pages):
    heading, *rows = rows_of(pages[1])
    frame = ordinary.leaderboard()
    assert heading == ["candidate", "rank", "score", "std", "source", "seconds", "C", "gamma"]
    assert [int(row[0]) - 1 for row in rows] == list(frame.index)
    assert ordinary.n_samples_fit_ == 150
    assert [int(row[1]) for row in rows] == list(frame["rank"])
    assert [row[4] for row in rows] == list(frame["source"])
    for k, name in ((2, "score"), (3, "std"), (5, "seconds"), (6, "C")):
        np.testing.assert_allclose([float(row[k]) for row in rows], frame[name], rtol=1e-4)


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(C=np.float64(2.5), kernel="linear"),
        make_pipeline(StandardScaler(), SVC(gamma=np.float32(0.5))),
        AdaBoostClassifier(DecisionTreeClassifier(max_depth=np.int64(3)), n_estimators=7),
    ],
)
def test_the_best_estimator_is_shown_as_code(estimator, tmp_path):
    search = MetaLearnedSearchCV(estimator, param_grid={}, cv=2).fit(X, y)
    code = Page(search.report(tmp_path / "page.html").read_text()).text_of("code")[0]
    assert "np." not in code
    made = eval(code).get_params()
    for name, value in estimator.get_params().items():
        if isinstance(value, int | float | str | np.generic):
            assert made[name] == value


def test_a_report_needs_a_fitted_search_and_a_folder_and_a_leaderboard_pandas(
    ordinary, tmp_path, monkeypatch
):
    unfitted = MetaLearnedSearchCV(SVC())
    for show in (unfitted.leaderboard, lambda: unfitted.report(tmp_path / "page.html")):
        with pytest.raises(NotFittedError, match="not fitted"):
            show()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        ordinary.report(tmp_path / "nowhere" / "page.html")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[history\]'"):
        ordinary.leaderboard()


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
    defaults = "bootstrap, criterion, min_samples_leaf, min_samples_split"
    assert searched == f"Searched by default: {defaults}."
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
