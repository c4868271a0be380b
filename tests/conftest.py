"""What all tests share: data sets, and how much hypothesis tries."""

import os
import sys

import pytest
from hypothesis import settings
from sklearn.datasets import load_iris

os.environ["MPLBACKEND"] = "Agg"
# No deadline for one example: on a busy machine, any may be slow.
settings.register_profile("ci", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("SKMETA_HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def iris():
    """Rows and labels of iris; not to be changed."""
    X, y = load_iris(return_X_y=True)
    X.setflags(write=False)
    y.setflags(write=False)
    return X, y


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
