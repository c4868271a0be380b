"""One thread."""

import threading

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from threadpoolctl import threadpool_info, threadpool_limits

from skmeta.search import MetaLearnedSearchCV
from skmeta.search.surrogate import with_one_thread


@pytest.fixture(autouse=True)
def _two_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        yield


def n_threads():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@with_one_thread()
def inside(then=n_threads):
    return n_threads(), then()


def test_a_call_in_another_thread_neither_waits_nor_changes_the_limit():
    before, actual = n_threads(), []

    def beside():
        thread = threading.Thread(target=lambda: actual.append(inside()))
        thread.start()
        thread.join()
        return n_threads()

    assert inside(beside) == ({1}, {1})
    assert actual == [({1}, {1})]
    assert n_threads() == before


def test_underflow_is_no_error_whatever_numpy_is_told():
    def tiny():
        return np.exp(np.array([-1e4]))

    with np.errstate(all="raise"):
        assert with_one_thread()(tiny)() == 0
        with pytest.raises(FloatingPointError, match="underflow"):
            tiny()
        search = MetaLearnedSearchCV(SVC(), {"C": loguniform(1e-3, 1e3)}, n_iter=6, random_state=0)
        assert search.fit(*load_iris(return_X_y=True)).best_score_ > 0.9
