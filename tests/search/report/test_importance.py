"""Importance of parameters, against functions whose answers are known."""

import numpy as np
import pytest
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.plotting import SearchDisplay


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


def effects_of(params, scores):
    importance = SearchDisplay(params=params, scores=scores).importance
    return dict(zip(importance.names, importance.values.tolist(), strict=True))


def test_importance_of_an_additive_function():
    params = draw(80)
    effects = effects_of(params, [additive(c) for c in params])
    # Variances of uniform and of two-valued variables. Scores below the median are raised only if
    # they are very low, which here none is.
    parts = {"C": 0.04 * 36 / 12, "x": 1.5**2 / 12, "kind": 0.25 / 4, "idle": 0.0}
    for name, value in effects.items():
        assert value == pytest.approx(parts[name] / sum(parts.values()), abs=0.03)
    assert list(effects.values()) == sorted(effects.values(), reverse=True)
    assert list(effects)[-1] == "idle"


def test_interacting_parameters_count_with_each_other():
    rng = np.random.default_rng(1)
    params = [{"a": float(a), "b": float(b)} for a, b in rng.uniform(-1, 1, (80, 2))]
    effects = effects_of(params, [c["a"] * c["b"] for c in params])
    # All of the variance of a product of centred variables is an interaction.
    assert min(effects["a"], effects["b"]) > 0.8


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
    effects = effects_of(params, scores)
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
    n = np.isfinite(scores).sum()
    with pytest.raises(ValueError, match=rf"at least 6 candidates.*; {n} candidates have a score"):
        SearchDisplay(params=params, scores=scores).plot("importance")
