"""Missing values in the data, which a history must not mind."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skmeta.search import MetaLearnedSearchCV, SearchHistory


@pytest.mark.parametrize(
    "dropped",
    [
        pd.array([None, "x"] * 20, dtype="string"),
        pd.array([1, None] * 20, dtype="Int64"),
        np.array([pd.NA, "x"] * 20, dtype=object),
    ],
    ids=["string", "Int64", "object"],
)
def test_a_search_is_recorded_although_a_column_misses_values(dropped):
    frame = pd.DataFrame({"a": np.arange(40.0), "b": dropped})
    y = np.arange(40) % 2
    pipeline = make_pipeline(
        make_column_transformer(("passthrough", ["a"])), LogisticRegression(max_iter=1000)
    )
    space = {"logisticregression__C": [0.1, 1.0, 10.0, 100.0]}
    settings = {"n_iter": 3, "random_state": 0, "prior": None}
    without = MetaLearnedSearchCV(pipeline, space, **settings).fit(frame, y)
    history = SearchHistory()
    recorded = MetaLearnedSearchCV(pipeline, space, history=history, **settings).fit(frame, y)
    np.testing.assert_array_equal(
        recorded.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"]
    )
    [search] = history
    assert len(search.candidates) == 3
    assert len(search.record.data_sketch) == 64
