"""Importance and slices, against functions whose answers are known."""

import numpy as np
import pytest
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.search.report._importance import (
    fit_scores,
    parameter_importance,
    score_slices,
    sliced_parameters,
)


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "C": float(10 ** rng.uniform(-3, 3)),
            "x": float(rng.uniform(0, 1)),
            "kind": str(rng.choice(["u", "v"])),
            "idle": float(rng.uniform(0, 1)),
        }
        for _ in range(n)
    ]


def additive(c):
    return 0.2 * np.log10(c["C"]) + 1.5 * c["x"] + 0.5 * (c["kind"] == "u")


def importance(params, scores):
    return parameter_importance(fit_scores(params, scores))


def by_name(importance):
    return dict(zip(importance.names, importance.values, strict=True))


def test_importance_of_an_additive_function():
    params = draw(80)
    effects = importance(params, [additive(c) for c in params])
    # Variances of uniform and of two-valued variables. Scores below the median are raised only if
    # they are very low, which here none is.
    parts = {"C": 0.04 * 36 / 12, "x": 1.5**2 / 12, "kind": 0.25 / 4, "idle": 0.0}
    for name, value in by_name(effects).items():
        assert value == pytest.approx(parts[name] / sum(parts.values()), abs=0.03)
    assert list(effects.values) == sorted(effects.values, reverse=True)
    assert effects.names[-1] == "idle"


def test_interacting_parameters_count_with_each_other():
    rng = np.random.default_rng(1)
    params = [{"a": float(a), "b": float(b)} for a, b in rng.uniform(-1, 1, (80, 2))]
    effects = by_name(importance(params, [c["a"] * c["b"] for c in params]))
    # All of the variance of a product of centred variables is an interaction.
    assert effects["a"] > 0.8
    assert effects["b"] > 0.8


def test_a_parameter_counts_where_it_exists():
    rng = np.random.default_rng(2)
    params, scores = [], []
    for _ in range(60):
        if rng.uniform() < 0.5:
            params.append({"model": SVC(), "model__C": float(rng.uniform(0, 1))})
            scores.append(params[-1]["model__C"])
        else:
            depth = int(rng.integers(1, 9))
            params.append({"model": DecisionTreeClassifier(), "model__max_depth": depth})
            scores.append(0.5)
    effects = by_name(importance(params, scores))
    # Var f = 1/2 * 1/12. C accounts for all of it within SVC.
    assert set(effects) == {"model", "model__C", "model__max_depth"}
    assert effects["model__C"] == pytest.approx(1, abs=0.1)
    assert effects["model"] == pytest.approx(0.5, abs=0.15)
    assert effects["model__max_depth"] < 0.05


@pytest.mark.parametrize(
    ("params", "scores"),
    [
        ([{"a": k} for k in range(5)], [0.1, 0.2, 0.3, 0.4, 0.5]),
        ([{"a": k} for k in range(9)], [0.5] * 9),
        ([{"a": 1} for k in range(9)], np.linspace(0, 1, 9)),
        ([{"a": k} for k in range(9)], [np.nan] * 4 + [0.1, 0.2, 0.3, 0.4, 0.5]),
        ([], []),
    ],
)
def test_too_little_to_tell(params, scores):
    assert fit_scores(params, scores) is None


def test_equal_searches_have_equal_importance():
    params = draw(12)
    scores = [additive(c) for c in params]
    one, other = (importance(params, scores) for _ in range(2))
    np.testing.assert_array_equal(one.values, other.values)


# -- slices ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    params = draw(60)
    return fit_scores(params, [additive(c) - (c["x"] - 0.6) ** 2 for c in params])


def test_a_slice_follows_the_function(fitted):
    assert set(sliced_parameters(fitted)) == {"C", "x", "kind", "idle"}
    one, log = score_slices(fitted, ["x", "C"])
    tried = [c["x"] for c in fitted.configurations]
    assert (one.numbers[0], one.numbers[-1]) == (min(tried), max(tried))
    truth = [additive({**fitted.best, "x": x}) - (x - 0.6) ** 2 for x in one.numbers]
    np.testing.assert_allclose(one.mean, truth, atol=0.05)
    assert (one.low < one.mean).all()
    assert (one.mean < one.high).all()
    np.testing.assert_allclose(np.diff(one.numbers, 2), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(np.log(log.numbers), 2), 0, atol=1e-12)


def test_a_slice_goes_through_the_best_candidate():
    params = draw(12)
    scores = [additive(c) for c in params]
    fitted = fit_scores(params, scores)
    assert fitted.best == params[int(np.argmax(scores))]
    [one] = score_slices(fitted, ["x"])
    grid = [{**fitted.best, "x": float(x)} for x in one.numbers]
    np.testing.assert_allclose(one.mean, fitted.predict(grid)[0])


def test_a_slice_of_values_without_an_order(fitted):
    [one] = score_slices(fitted, ["kind"])
    assert len(one.numbers) == 0
    at = dict(zip(one.values, one.mean, strict=True))
    assert at["u"] - at["v"] == pytest.approx(0.5, abs=0.05)


def test_a_slice_of_numbers_and_a_string():
    params = [{"gamma": g} for g in (0.01, 0.1, 1.0, 10.0, "scale", 0.5)]
    [one] = score_slices(fit_scores(params, [0.1, 0.5, 0.6, 0.2, 0.9, 0.61]), ["gamma"])
    assert one.values == ("scale",)
    assert one.mean[-1] > one.mean[:-1].max()


def test_whole_numbers_stay_whole():
    params = [{"n": n} for n in (1, 2, 3, 4, 5, 8)]
    [one] = score_slices(fit_scores(params, [0.1, 0.2, 0.5, 0.6, 0.4, 0.3]), ["n"])
    assert list(one.numbers) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_long_search_is_thinned_out():
    params = draw(600)
    fitted = fit_scores(params, [additive(c) for c in params])
    assert len(fitted.configurations) == 250
    assert fitted.best == max(params, key=additive)
