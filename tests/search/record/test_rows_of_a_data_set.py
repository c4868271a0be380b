"""A data set that is cut to fewer rows."""

import numpy as np
import pytest

from skmeta.search.record import features_at_rows, name_at_rows


def test_names_tell_the_rows():
    assert name_at_rows("ours", 1500) == "ours (1500 rows)"


def test_features_tell_the_rows():
    actual = features_at_rows({"log_rows": 9.0, "log_columns": 2.0, "missing": 0.5}, 1000)
    assert actual["log_rows"] == pytest.approx(np.log(1000))
    assert actual["log_rows_per_column"] == pytest.approx(np.log(1000) - 2)
    assert actual["missing"] == 0.5
    assert features_at_rows({}, 1000) == {}
