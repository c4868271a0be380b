"""scikit-learn's own tests of RandomizedSearchCV, run on MetaLearnedSearchCV with racing.

What is asserted there is asserted here, but for the tests in ``DIFFERENT``, each with its reason.
"""

import inspect

import pytest
from drop_in import RacingSearchCV, collect, load
from test_sklearn_suite import DIFFERENT as DIFFERENT_WITHOUT_RACING

from skmeta.search import MetaLearnedSearchCV

pytestmark = pytest.mark.filterwarnings("default")

ORDER = "asserts the order of a grid, which is not kept where candidates are raced"

FOLDS = "reads the score of every fold"
CALLS = "its scorer fails at calls that are not made where candidates are raced"

# test, or test[case] -> why it cannot hold here.
DIFFERENT = {
    **DIFFERENT_WITHOUT_RACING,
    "test_search_default_iid[RacingSearchCV-specialized_params1]": ORDER,
    "test_search_cv_timing": ORDER,
    "test_grid_search_with_multioutput_data": FOLDS,
    "test_search_cv_results_rank_tie_breaking": FOLDS,
    "test_searchcv_raise_warning_with_non_finite_score[RacingSearchCV-specialized_params1-False]": (
        CALLS
    ),
    "test_searchcv_raise_warning_with_non_finite_score[RacingSearchCV-specialized_params1-True]": (
        CALLS
    ),
    "test_random_search_cv_results_multimetric": (
        "compares searches that maximise different metrics, by which candidates are stopped"
    ),
}

_search = load("sklearn.model_selection.tests.test_search", RacingSearchCV)
_tests = {
    name: test
    for name, test in collect(_search).items()
    if "RandomizedSearchCV" in inspect.getsource(test) or "SearchCV" in str(test.pytestmark)
}
globals().update(_tests)


@pytest.fixture(autouse=True)
def _different(request):
    reason = DIFFERENT.get(request.node.name)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


def test_candidates_are_raced():
    assert _search.RandomizedSearchCV is RacingSearchCV
    assert issubclass(RacingSearchCV, MetaLearnedSearchCV)
    assert RacingSearchCV(None, {}).racing
    assert "racing" not in RacingSearchCV(None, {}).get_params()
    assert len(_tests) > 20
