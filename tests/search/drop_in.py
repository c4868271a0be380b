"""MetaLearnedSearchCV under the names of scikit-learn's two searches, and in its tests."""

import importlib.util
import inspect
import sys
import warnings
from collections.abc import Collection
from unittest import mock

import pytest
import sklearn.model_selection
from sklearn.utils._test_common.instance_generator import INIT_PARAMS

from skmeta.search import MetaLearnedSearchCV


def drop_in(theirs, **settings):
    """Return MetaLearnedSearchCV with the name and the parameters of a search of scikit-learn."""

    class Search(MetaLearnedSearchCV):
        def __init__(self, *args, **kwargs):
            given = inspect.signature(theirs).bind(*args, **kwargs)
            given.apply_defaults()
            super().__init__(**settings, **given.arguments)

    Search.__init__.__signature__ = inspect.signature(theirs.__init__)
    Search.__name__ = Search.__qualname__ = theirs.__name__
    return Search


# The first tries the whole grid in its order, the second a number of candidates.
GridSearchCV = drop_in(sklearn.model_selection.GridSearchCV)
RandomizedSearchCV = drop_in(sklearn.model_selection.RandomizedSearchCV)


def load(name):
    """Load one of scikit-learn's modules of tests with the two classes exchanged."""
    spec = importlib.util.spec_from_file_location(
        f"{name.rpartition('.')[2]}_of_ours", importlib.util.find_spec(name).origin
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # estimators defined there are pickled by this name
    instances = {
        GridSearchCV: INIT_PARAMS[sklearn.model_selection.GridSearchCV],
        RandomizedSearchCV: INIT_PARAMS[sklearn.model_selection.RandomizedSearchCV],
    }
    with (
        warnings.catch_warnings(action="ignore"),
        mock.patch.dict(INIT_PARAMS, instances),
        mock.patch.object(sklearn.model_selection, "GridSearchCV", GridSearchCV),
        mock.patch.object(sklearn.model_selection, "RandomizedSearchCV", RandomizedSearchCV),
    ):
        spec.loader.exec_module(module)
    return module


def collect(module, keep=lambda case: True, only=None):
    """Return a module's tests, those of their cases that `keep` accepts."""
    found = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    for test in found.values():
        test.pytestmark = [_listed(mark, keep) for mark in getattr(test, "pytestmark", [])]
    return {name: test for name, test in found.items() if only is None or name in only}


def _listed(mark, keep):
    if mark.name != "parametrize":
        return mark
    names, values, *_ = mark.args
    with warnings.catch_warnings(action="ignore"):
        values = list(values)  # newer versions of pytest want a list, not a generator
    kept = [position for position, case in enumerate(values) if keep(case)]
    settings = dict(mark.kwargs)
    if isinstance(settings.get("ids"), Collection):
        settings["ids"] = [settings["ids"][position] for position in kept]
    return pytest.mark.parametrize(names, [values[position] for position in kept], **settings).mark
