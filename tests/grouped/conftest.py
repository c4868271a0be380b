"""A table of groups, and models that were fitted to it once."""

import numpy as np
import pytest
from grouped_tables import make_table

from skmeta import GroupedClassifier, GroupedRegressor


@pytest.fixture(scope="session")
def table():
    return make_table()


@pytest.fixture(scope="session")
def regressor(table):
    return GroupedRegressor("school").fit(table.X, table.y)


@pytest.fixture(scope="session")
def classifier(table):
    return GroupedClassifier("school").fit(table.X, np.where(table.y > 0.5, "yes", "no"))
