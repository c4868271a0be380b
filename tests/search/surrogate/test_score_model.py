"""The model of a finished search's scores."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta.search.surrogate import ScoreModel, _score_model

RNG = np.random.default_rng(3)
TRIED = [{"a": float(a), "b": float(b)} for a, b in RNG.uniform(0, 1, (15, 2))]
SCORES = np.array([-((c["a"] - 0.4) ** 2) + 0.1 * c["b"] for c in TRIED])
NEW = [{"a": float(a), "b": float(b)} for a, b in RNG.uniform(0, 1, (20, 2))]


def test_predictions_are_those_of_a_gaussian_process(monkeypatch):
    theta = np.log([0.5, 0.8, 1.3, 0.02])
    monkeypatch.setattr(_score_model, "_sample_kernels", lambda *args: [theta])
    monkeypatch.setattr(_score_model, "winsorize_scores", lambda scores, factor: scores)
    model = ScoreModel(TRIED, SCORES, np.random.default_rng(0))
    mean, std = model.predict(NEW)
    X, X_new = (model.encoding.transform(c, ["a", "b"]) for c in (TRIED, NEW))
    kernel = ConstantKernel(1.3) * Matern([0.5, 0.8], nu=2.5)
    y = (SCORES - SCORES.mean()) / SCORES.std()
    oracle = GaussianProcessRegressor(kernel, alpha=0.02 + 1e-6, optimizer=None).fit(X, y)
    expected_mean, expected_std = oracle.predict(X_new, return_std=True)
    np.testing.assert_allclose(mean, SCORES.mean() + SCORES.std() * expected_mean, rtol=1e-9)
    np.testing.assert_allclose(std, SCORES.std() * expected_std, rtol=1e-6)


def test_functions_have_the_predicted_mean_and_deviation():
    model = ScoreModel(TRIED, SCORES, np.random.default_rng(0))
    mean, std = model.predict(NEW)
    draw = model.sample_functions(400, np.random.default_rng(1))
    values = draw(NEW)
    np.testing.assert_allclose(values.mean(0), mean, atol=0.15 * std.max())
    np.testing.assert_allclose(values.std(0), std, rtol=0.15)
    np.testing.assert_allclose(draw(NEW[:3]), values[:, :3], rtol=0, atol=1e-13)


def test_kernels_vary_more_if_there_are_fewer_scores():
    def spread(n):
        model = ScoreModel(TRIED[:n], SCORES[:n], np.random.default_rng(0))
        return np.std([np.log(kernel.length_scales[0]) for kernel in model._kernels])

    assert spread(5) > spread(15) > 0


def test_failures_are_left_out():
    scores = np.where(np.arange(15) % 5 == 0, np.nan, SCORES)
    with_failures = ScoreModel(TRIED, scores, np.random.default_rng(0))
    kept = np.isfinite(scores)
    without = ScoreModel(
        [c for c, k in zip(TRIED, kept, strict=True) if k], SCORES[kept], np.random.default_rng(0)
    )
    np.testing.assert_array_equal(with_failures.predict(NEW), without.predict(NEW))


def test_large_searches_are_thinned_out_and_keep_the_best():
    tried = [{"a": float(a)} for a in np.linspace(0, 1, 400)]
    scores = np.array([-((c["a"] - 0.3) ** 2) for c in tried])
    model = ScoreModel(tried, scores, np.random.default_rng(0))
    assert len(model._kernels[0].Z) == 250
    mean, _ = model.predict(tried)
    assert tried[int(mean.argmax())]["a"] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("tried", "scores", "match"),
    [
        ([{"a": 1.0}, {"a": 2.0}], [0.5, 0.5], "at least 2 different ones, got 2 finite"),
        ([{"a": 1.0}, {"a": 2.0}], [np.nan, np.nan], "got 0 finite"),
        ([{"a": 1.0}, {"a": 1.0}], [0.5, 0.6], "a parameter that varies"),
    ],
)
def test_nothing_to_learn(tried, scores, match):
    with pytest.raises(ValueError, match=match):
        ScoreModel(tried, scores, np.random.default_rng(0))
