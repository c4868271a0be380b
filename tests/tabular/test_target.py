"""The kind of a target, its scales, and distributions on the target's own units."""

import numpy as np
import pytest
from scipy import stats

from skmeta import GroupedRegressor, MetaFewShotRegressor
from skmeta._tabular import DECILES, quantile_loss, recognise_target, scales_of, without_rounding
from skmeta._tabular._member import OF_KNOWN, OF_MODEL, HeldOut, Level
from skmeta._tabular._units import TargetUnits
from skmeta.exceptions import UnusedDataWarning

RNG = np.random.default_rng(0)
PROBABILITIES = np.linspace(0.0025, 0.9975, 200)
TARGETS = {
    "count": RNG.poisson(2.0, 200).astype(float),
    "positive": RNG.lognormal(3.0, 1.0, 200),
    "share": RNG.beta(0.5, 0.7, 200),
    "ordered": RNG.choice(np.arange(1, 11) / 2, 300, p=np.r_[0.05, np.full(8, 0.1), 0.15]),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_kind_is_recognised(kind):
    assert recognise_target(TARGETS[kind]).kind == kind


@pytest.mark.parametrize(
    "y",
    [
        RNG.normal(170, 8, 200).round(),  # heights
        RNG.normal(15, 5, 300),  # temperatures
        RNG.normal(0, 1, 300),
        RNG.uniform(20, 80, 300).round(),  # ages
        RNG.lognormal(3.0, 1.0, 5),  # too few
        np.full(30, 2.0),
        RNG.uniform(0.4, 0.6, 100),
        np.array([0.0, 1.0] * 20),
    ],
)
def test_other_targets_are_real(y):
    target = recognise_target(y)
    assert target.kind == "real"
    assert len(scales_of(target, y)) == 1
    far = y + 1e6
    assert scales_of(target, y)[0].inverse(far) is not None
    np.testing.assert_array_equal(scales_of(target, y)[0].inverse(far), far)


def test_a_declared_kind_is_checked():
    with pytest.raises(ValueError, match=r"whole numbers from 0 on, but y is 0\.5 in row 1"):
        recognise_target(np.array([1.0, 0.5, -1.0]), "count")
    with pytest.raises(ValueError, match=r"target_type='share' needs numbers from 0 to 1"):
        recognise_target(np.array([0.1, 1.5]), "share")
    assert recognise_target(np.array([1.0, 2.0]), "count").kind == "count"


def all_scales():
    for kind, y in TARGETS.items():
        target = recognise_target(y)
        for scale in scales_of(target, y):
            yield pytest.param(scale, y, id=f"{kind}-{scale.name}")


@pytest.mark.parametrize(("scale", "y"), list(all_scales()))
def test_a_scale_has_an_inverse(scale, y):
    np.testing.assert_allclose(scale.inverse(scale.forward(y)), y, atol=1e-9)


@pytest.mark.parametrize(("scale", "y"), list(all_scales()))
def test_nothing_goes_far_beyond_the_known_targets(scale, y):
    far = scale.inverse(np.array([-1e4, 1e4]))
    if scale.name != "as given":
        assert far[1] <= y.max() + np.ptp(y)
    assert far[0] >= (0 if y.min() >= 0 else -np.inf)


def test_quantiles_of_counts_are_those_of_the_counts():
    # Of a continuous variable that is rounded.
    z = stats.norm(3.0, 2.0).ppf(PROBABILITIES)
    settled = recognise_target(TARGETS["count"]).settle(z[None])[0]
    drawn = np.maximum(np.round(stats.norm(3.0, 2.0).rvs(200_000, random_state=0)), 0)
    expected = np.quantile(drawn, PROBABILITIES, method="inverted_cdf")
    assert (settled == expected).mean() > 0.97
    assert (settled == np.round(settled)).all()


def test_the_quantile_loss_is_least_for_the_true_quantiles():
    y = np.random.default_rng(0).gamma(2.0, size=5000)
    true = np.tile(stats.gamma(2.0).ppf(DECILES), (len(y), 1))
    loss = quantile_loss(y, true, DECILES).mean()
    for other in (true + 0.1, true - 0.1, 1.1 * true, true.mean(1, keepdims=True) + 0 * true):
        assert quantile_loss(y, other, DECILES).mean() > loss


@pytest.mark.parametrize("n_known", [0.0, 3.0])
@pytest.mark.parametrize(("n", "error"), [(12, 0.8), (400, 3.0)])
def test_share_of_known_targets_without_columns(n, error, n_known):
    """A few held-out rows do not tell; then a prior does, if rows of the group are known."""
    rng, group = np.random.default_rng(1), np.arange(n)
    y = rng.lognormal(3.0, 1.0, n)
    target = recognise_target(y, "positive")
    units = TargetUnits.learn(y, np.ones(n), target, scales_of(target, y)[2])
    z = units(y)
    mean = z + rng.normal(scale=error, size=n)
    held_out = HeldOut(mean, np.full(n, error), z, np.ones(n), group, group)
    level = Level(n_known, np.ones(1), np.zeros(2), held_out.quantiles(), held_out=held_out)
    share = units.calibrate(level).calibration[[OF_MODEL, OF_KNOWN]]
    np.testing.assert_allclose(share.sum(), 1, rtol=1e-12)
    if error > 1:  # The model is worse than nothing, and many rows say so.
        assert share[1] > 0.5
    elif n_known:
        assert share[1] < 0.15
    else:
        assert share[1] > 0.15


def test_rounding_errors_do_not_change_the_kind():
    rng = np.random.default_rng(0)
    counts, amounts = rng.poisson(2.0, 200) * 1.0, rng.gamma(0.7, 2.0, 200)
    shares = np.append(rng.beta(0.5, 2.0, 200), 1.0)
    for y, error, kind in (
        (counts, 1e-9, "count"),
        (counts, -1e-9, "count"),
        (np.append(amounts, 0.0), -1e-9, "positive"),
        (shares, 1e-9, "share"),
    ):
        wrong = y.copy()
        wrong[-1] += error
        assert recognise_target(y).kind == kind
        match = rf"in row {len(y) - 1} \(1 row in all\), which is taken"
        with pytest.warns(UnusedDataWarning, match=match):
            settled = without_rounding(wrong)
        np.testing.assert_array_equal(settled, y)
    for y in (counts, amounts, shares, counts * 1e-9, rng.normal(size=200), counts - 0.01):
        assert without_rounding(y) is y or (without_rounding(y) == y).all()


@pytest.mark.parametrize("model", [MetaFewShotRegressor(device="cpu"), GroupedRegressor(0)])
def test_a_count_with_a_rounding_error_is_a_count(model):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(60) % 12, rng.normal(size=60)])
    y = rng.poisson(np.exp(X[:, 1])) * 1.0
    y[3] += 1e-9
    with pytest.warns(UnusedDataWarning, match="in row 3"):
        assert model.fit(X, y).target_type_ == "count"
