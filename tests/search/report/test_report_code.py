"""Best parameters as Python, and round numbers on axes."""

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta._html import tag
from skmeta.search.report._axes import Chart, Scale
from skmeta.search.report._code import code_of_configuration, code_of_estimator, code_of_params


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(C=np.float64(2.5), kernel="linear"),
        make_pipeline(StandardScaler(), SVC(gamma=np.float32(0.5))),
        AdaBoostClassifier(DecisionTreeClassifier(max_depth=np.int64(3)), n_estimators=7),
    ],
)
def test_code_makes_an_equal_estimator(estimator):
    names = {}
    code = code_of_estimator(estimator)
    exec(code, names)
    assert "np." not in code
    assert repr(names["model"].get_params(deep=False)) == repr(
        type(estimator)(**names["model"].get_params(deep=False)).get_params(deep=False)
    )
    for name, value in estimator.get_params().items():
        if isinstance(value, int | float | str | np.generic):
            assert names["model"].get_params()[name] == value


def test_what_is_no_python_has_no_code():
    assert code_of_estimator(FunctionTransformer(lambda X: X)) is None
    assert code_of_estimator(make_pipeline(*[StandardScaler() for _ in range(40)])) is None


def test_code_of_params_imports_what_it_names():
    params = {"model": make_pipeline(StandardScaler(), SVC()), "model__svc__C": np.float64(3.0)}
    names = {"estimator": make_pipeline(SVC())}
    code = code_of_params(params).rpartition("\n")[0]
    exec(code, names)
    assert names["best_params"]["model__svc__C"] == 3.0
    assert isinstance(names["best_params"]["model"][-1], SVC)


def test_code_of_a_configuration():
    configuration = {
        "Pipeline.final_step": "SVC",
        "PCA.n_components": 3,
        "SVC.C": 1.0,
        "SVC.gamma": "scale",
    }
    expected = "PCA(n_components=3)\nSVC(C=1.0, gamma='scale')"
    assert code_of_configuration(configuration) == expected


@pytest.mark.parametrize(
    ("low", "high", "is_log", "expected"),
    [
        (0, 1, False, [0, 0.5, 1]),
        (0.94, 0.985, False, [0.94, 0.96, 0.98]),
        (1, 20, False, [5, 10, 15, 20]),
        (-3, 3, False, [-2, 0, 2]),
        (0.001, 1000, True, [0.01, 1, 100]),
        (0.02, 0.6, True, [0.1]),
        (2, 60, True, [10]),
        (3, 3, False, [3]),
    ],
)
def test_ticks_are_round(low, high, is_log, expected):
    found = Scale(low, high, 0, 1, is_log).ticks()
    assert set(np.round(expected, 12)) <= set(np.round(found, 12))
    assert all(low - 1e-9 <= v <= high * (1 + 1e-9) for v in found)
    assert 1 <= len(found) <= 8


def test_scales_map_ends_to_ends():
    scale = Scale(0.1, 10, 100, 300, is_log=True)
    assert [round(scale(v), 9) for v in (0.1, 1, 10)] == [100, 200, 300]


def test_lines_are_broken_where_values_are_missing():
    chart = Chart("", Scale(0, 2, 0, 20), Scale(0, 1, 10, 0), "", "")
    chart.line([0, 1, 2], [0.0, np.nan, 1.0], "best")
    assert chart.marks[0] == '<path d="M0.0 10.0M20.0 0.0" class="best"/>'


def test_markup_is_escaped_once():
    inner = tag("b", "<&>")
    assert tag("p", inner, "\"'<", title='"') == (
        '<p title="&quot;"><b>&lt;&amp;&gt;</b>&quot;&#x27;&lt;</p>'
    )
