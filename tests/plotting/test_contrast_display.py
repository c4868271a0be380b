"""Forest plots of contrasts."""

import numpy as np
import pandas as pd
import pytest

from skmeta import GroupedRegressor
from skmeta.plotting import ContrastDisplay


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    clinic = np.repeat(np.arange(12), 20)
    X = pd.DataFrame({"clinic": clinic, "arm": rng.choice(["drug", "none", "sham"], 240)})
    y = (X["arm"] == "drug") * 2.0 + rng.normal(size=12)[clinic] + rng.normal(size=240)
    counts = rng.poisson(np.exp(0.5 + (X["arm"] == "drug")))
    model = GroupedRegressor("clinic", model="mixed")
    return model.fit(X, y), GroupedRegressor("clinic", model="mixed").fit(X, counts)


def test_contrasts_are_drawn_from_top_to_bottom(fitted):
    model, _ = fitted
    display = ContrastDisplay.from_estimator(model, "arm", ["drug", "sham"], "none")
    frame = model.contrast("arm", ["drug", "sham"], "none")
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list(frame.index)
    np.testing.assert_allclose(display.ax_.lines[1].get_xdata(), frame["estimate"])
    assert (np.diff(display.ax_.lines[1].get_ydata()) < 0).all()
    ends = np.array([line[:, 0] for line in display.ax_.collections[0].get_segments()])
    np.testing.assert_allclose(ends, frame[["lower", "upper"]])
    with pytest.raises(ValueError, match="no ratios"):
        ContrastDisplay.from_estimator(model, "arm", "drug", "none", ratio=True)


def test_groups_are_sorted_below_the_common_contrast(fitted):
    _, counts = fitted
    display = ContrastDisplay.from_estimator(
        counts, "arm", "drug", "none", group="clinic", ratio=True
    )
    assert display.names[0] == "all"
    assert len(display.names) == 13
    assert (np.diff(display.estimate[1:]) <= 0).all()
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "arm, drug - none: ratio, with 95% intervals"
