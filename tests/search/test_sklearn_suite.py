"""scikit-learn's own tests of GridSearchCV and RandomizedSearchCV, run on MetaLearnedSearchCV.

Its modules of tests are loaded once more with both names bound to subclasses of ours. What is
asserted there is asserted here, but for the tests in ``DIFFERENT``, each with its reason.
"""

import inspect
from functools import partial

import pytest
from drop_in import GridSearchCV, RandomizedSearchCV, collect, load

from skmeta.search import MetaLearnedSearchCV

pytestmark = pytest.mark.filterwarnings("default")

BATCHES = "the callbacks of candidates that come in batches form a tree of batches"

# test, or test[case] -> why it cannot hold here.
DIFFERENT = {
    "test_custom_run_search": "compares all attributes with a search that has fewer",
    "test_random_search_cv_results": "cv_results_ has columns of its own: source, predicted_*",
    "test_search_with_2d_array": "asserts which candidates RandomizedSearchCV draws from a seed",
    "test_search_callbacks_no_propagation[search1-True]": BATCHES,
    "test_search_callbacks_no_propagation[search1-False]": BATCHES,
    "test_search_callbacks_propagation[search1-True]": BATCHES,
    "test_search_callbacks_propagation[search1-False]": BATCHES,
}


def _is_search(case):
    kind = case["metaestimator"] if isinstance(case, dict) else None
    return kind in (GridSearchCV, RandomizedSearchCV)


_search = load("sklearn.model_selection.tests.test_search")
_routing = load("sklearn.tests.test_metaestimators_metadata_routing")
_delegation = load("sklearn.tests.test_metaestimators")
_delegation.DELEGATING_METAESTIMATORS = [
    case
    for case in _delegation.DELEGATING_METAESTIMATORS
    if case.name in ("GridSearchCV", "RandomizedSearchCV")
]

_tests = {
    **collect(_search),
    **collect(_routing, _is_search),
    **collect(_delegation, only={"test_metaestimator_delegation"}),
}
globals().update(_tests)


@pytest.fixture(autouse=True)
def _frames_without_source(monkeypatch):
    """Estimators of scikit-learn that record who calls them read no lines of source, which cost."""
    monkeypatch.setattr(inspect, "stack", partial(inspect.stack, 0))


@pytest.fixture(autouse=True)
def _different(request):
    reason = DIFFERENT.get(request.node.name)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


def test_the_names_are_exchanged():
    for module in (_search, _routing, _delegation):
        assert issubclass(module.GridSearchCV, MetaLearnedSearchCV)
        assert issubclass(module.RandomizedSearchCV, MetaLearnedSearchCV)
    assert len(_delegation.DELEGATING_METAESTIMATORS) == 2
    assert len(_tests) > 70
