"""More groups than the covariance is estimated from."""

import numpy as np
import pytest

from skmeta._mixed import _model


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(900), rng.integers(1, 5, 900))
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=(len(codes), 2))])
    effects = rng.normal(size=(900, 3)) * [0.6, 0.3, 0.0] + [0.1, 0.8, -0.4]
    return z, (z * effects[codes]).sum(1) + rng.normal(size=len(codes)) / 2, codes


def test_the_mean_is_that_of_all_groups(rows, monkeypatch):
    z, y, codes = rows
    monkeypatch.setattr(_model, "_MAX_GROUPS", 300)
    model = _model.fit_groups(z, y, codes)
    # Generalised least squares over all groups, given the covariance.
    whole, score = np.zeros((3, 3)), np.zeros(3)
    for g in range(900):
        own = z[codes == g]
        v = own @ model.covariance[0] @ own.T + model.noise**2 * np.eye(len(own))
        whole += own.T @ np.linalg.solve(v, own)
        score += own.T @ np.linalg.solve(v, y[codes == g])
    # The prior of slopes is weak beside 900 groups.
    np.testing.assert_allclose(model.mean[0], np.linalg.solve(whole, score), atol=2e-3)
    np.testing.assert_allclose(model.mean_covariance, np.linalg.inv(whole), atol=2e-5)
    assert np.sqrt(np.diagonal(model.covariance[0])) == pytest.approx([0.6, 0.3, 0.0], abs=0.15)
    assert model.noise == pytest.approx(0.5, abs=0.05)
