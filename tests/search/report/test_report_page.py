"""The page of a report, parsed."""

import base64
import hashlib
import re
import warnings
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.ensemble import AdaBoostClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: F401 (in code)
from sklearn.preprocessing import StandardScaler
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        return search.set_params(name=EVIL).fit(X, y)


@pytest.fixture(scope="module")
def ordinary(reported):
    """A search of a pipeline that starts from the prior that ships."""
    pipe = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(0.1, 100), "svc__gamma": loguniform(1e-3, 1)}
    search = MetaLearnedSearchCV(
        pipe,
        space,
        n_iter=10,
        cv=3,
        prior="shipped",
        random_state=0,
        history=reported,
        name="iris",
        scoring=["accuracy", "f1_macro"],
        refit="accuracy",
    )
    return search.fit(X, y)


@pytest.fixture(scope="module")
def page_of_evil(evil, tmp_path_factory):
    return evil.report(tmp_path_factory.mktemp("page") / "evil.html").read_text()


@pytest.fixture(scope="module")
def page_of_ordinary(ordinary, tmp_path_factory):
    return ordinary.report(tmp_path_factory.mktemp("page") / "report.html").read_text()


@pytest.fixture(params=["evil", "ordinary"])
def text(request, page_of_evil, page_of_ordinary):
    return {"evil": page_of_evil, "ordinary": page_of_ordinary}[request.param]


def test_markup_stays_text(page_of_evil):
    page = Page(page_of_evil)
    assert page.all("script") == []
    assert EVIL not in page_of_evil
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


def test_the_leaderboard_is_that_of_the_search(ordinary, page_of_ordinary):
    heading, *rows = rows_of(page_of_ordinary)
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


def test_a_report_needs_a_fitted_search_and_a_folder(ordinary, tmp_path):
    with pytest.raises(NotFittedError, match="not fitted"):
        MetaLearnedSearchCV(SVC()).report(tmp_path / "page.html")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        ordinary.report(tmp_path / "nowhere" / "page.html")
