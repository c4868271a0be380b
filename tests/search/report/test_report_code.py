"""Best parameters as Python, and round numbers on axes."""

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta._html import tag
from skmeta.search.report._axes import number_ticks
from skmeta.search.report._code import code_of_estimator


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


@pytest.mark.parametrize(
    ("low", "high", "is_log", "expected"),
    [
        (0, 1, False, [0, 0.2, 1]),
        (0.94, 0.985, False, [0.94, 0.96, 0.98]),
        (1, 20, False, [5, 10, 15, 20]),
        (-3, 3, False, [-2, 0, 2]),
        (0.001, 1000, True, [0.001, 1, 1000]),
        (0.02, 0.6, True, [0.2]),
        (3, 3, False, [3]),
    ],
)
def test_ticks_are_round(low, high, is_log, expected):
    found = [place for place, _ in number_ticks(low, high, is_log=is_log)]
    assert set(np.round(expected, 12)) <= set(np.round(found, 12))
    assert all(low - 1e-9 <= v <= high * (1 + 1e-9) for v in found)
    assert 1 <= len(found) <= 8


def test_markup_is_escaped_once():
    inner = tag("b", "<&>")
    assert tag("p", inner, "\"'<", title='"') == (
        '<p title="&quot;"><b>&lt;&amp;&gt;</b>&quot;&#x27;&lt;</p>'
    )
