"""The number of threads is that of the caller again, whoever ends last."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_wine

from skmeta import GroupedRegressor, MetaFewShotClassifier
from skmeta._threads import one_thread


def test_fits_that_overlap_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, first_has_ended = threading.Event(), threading.Event()

    def second():
        with one_thread(None):
            inside.set()
            first_has_ended.wait(10)

    thread = threading.Thread(target=second)
    try:
        with one_thread(None):
            thread.start()
            assert inside.wait(10)
        first_has_ended.set()
        thread.join()
        assert torch.get_num_threads() == 2
        with one_thread(None):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_threads_that_predict_at_once_agree_with_one():
    rng = np.random.default_rng(0)
    ward = np.repeat(np.arange(12), 8)
    X = pd.DataFrame({"ward": ward, "age": rng.normal(size=96)})
    y, known = rng.normal(size=12)[ward] + X["age"], ward < 11
    grouped = GroupedRegressor("ward").fit(X[known], y[known]).partial_fit(X[~known], y[~known])
    wines, cultivar = load_wine(return_X_y=True)
    few_shot = MetaFewShotClassifier().fit(wines[::9], cultivar[::9])
    for predict, rows in ((grouped.predict, X), (few_shot.predict_proba, wines)):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(predict, [rows] * 8))
        np.testing.assert_allclose(found, [predict(rows)] * 8, rtol=1e-9, atol=1e-12)
