"""Best parameters as Python."""

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta._html import tag
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


def test_markup_is_escaped_once():
    inner = tag("b", "<&>")
    assert tag("p", inner, "\"'<", title='"') == (
        '<p title="&quot;"><b>&lt;&amp;&gt;</b>&quot;&#x27;&lt;</p>'
    )
