"""What a sample says of the whole table."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from skmeta.search import SearchPrior
from skmeta.search.prior import _combined as carried
from skmeta.search.prior import carry_over
from skmeta.search.record import PastSearch
from skmeta.search.surrogate import matern

POOL = [{"SVC.C": float(c)} for c in np.geomspace(1e-3, 1e3, 61)]
NAMES = {"SVC.C"}


def hump(at, width=2.0):
    x = np.log10([c["SVC.C"] for c in POOL])
    return np.exp(-(((x - at) / width) ** 2))


def learned(*optima):
    return SearchPrior.from_searches(
        [
            PastSearch(dataset=f"d{k}", configurations=tuple(POOL[::3]), scores=hump(at)[::3])
            for k, at in enumerate(optima)
        ]
    )


def best(prior):
    F = prior.surfaces_of(prior.encode(POOL, NAMES))
    return np.log10(POOL[int((prior.task_weights @ F).argmax())]["SVC.C"])


TRIED = list(range(0, 61, 6))


def carry(prior, scores, tried=TRIED):
    return carry_over(prior, [POOL[k] for k in tried], scores[tried])


def test_the_optimum_follows_the_sample():
    prior = learned(-1.0, 0.0, 1.0)
    for at in (-1.0, 1.0, 2.5):
        assert best(carry(prior, hump(at))) == pytest.approx(at, abs=0.5)


def test_tasks_like_the_sample_have_more_weight():
    found = carry(learned(-2.0, 2.0), hump(2.0))
    assert found.task_weights[1] == pytest.approx(0.75, abs=0.02)
    assert found.task_weights.sum() == pytest.approx(1)
    assert found.datasets == ("d0", "d1")
    assert len(found) == 2
    np.testing.assert_array_equal(found.pooled_weights, [0.5, 0.5])
    assert found.covers(POOL).all()


def test_scale_and_offset_of_the_sample_have_no_effect():
    prior = learned(-1.0, 1.0)
    one, other = (carry(prior, s) for s in (hump(2.0), 70 + 1e-3 * hump(2.0)))
    Z = prior.encode(POOL, NAMES)
    np.testing.assert_allclose(one.surfaces_of(Z), other.surfaces_of(Z), atol=1e-6)


def test_the_change_is_smaller_where_nothing_was_tried():
    prior = learned(-1.0, 1.0)
    found = carry(prior, hump(-3.0), tried=[0, 2, 4, 6])
    Z = prior.encode(POOL, NAMES)
    change = np.abs(found.surfaces_of(Z) - np.maximum(prior.surfaces_of(Z), 0))
    assert (change[:, -1] < 0.7 * change.max(1)).all()


def test_surfaces_are_conditional_means():
    """The formula against the conditional mean of a joint normal distribution, in one piece."""
    prior, rng = learned(0.0), np.random.default_rng(0)
    y = hump(1.0)[TRIED] + 0.05 * rng.normal(size=len(TRIED))
    found = carry_over(prior, [POOL[k] for k in TRIED], y)
    Z = prior.encode(POOL, NAMES)
    M = matern(Z, Z)
    C = np.maximum(prior.surfaces_of(Z)[0], 0)
    y = np.maximum(y, np.median(y) - (y.max() - np.median(y)))
    y = (y - y.mean()) / y.std()
    seen = np.ix_(TRIED, TRIED)
    wide = 1e6  # variance of the offset
    options = {}
    for t in carried._REMAINDERS:
        K = (t + carried._DIFFERENCE) * M[seen] + carried._NOISE * np.eye(len(y)) + wide
        for c in np.exp(np.linspace(-3, 3, 31)):
            normal = multivariate_normal(C[TRIED], K)
            density = normal.logpdf(c * y) + len(y) * np.log(c) - 0.5 * np.log(c) ** 2
            mean = C + t * M[:, TRIED] @ np.linalg.solve(K, c * y - C[TRIED])
            options[t, c] = density, mean
    evidence = {
        t: np.logaddexp.reduce([d for (s, _), (d, _) in options.items() if s == t])
        for t in carried._REMAINDERS
    }
    t = max(evidence, key=evidence.get)
    _, expected = max((v for (s, _), v in options.items() if s == t), key=lambda v: v[0])
    # The offset is part of the sample, not of the surface.
    shift = (found.surfaces_of(Z)[0] - expected).mean()
    np.testing.assert_allclose(found.surfaces_of(Z)[0] - shift, expected, atol=1e-2)


def test_without_a_prior_the_sample_is_the_only_task():
    for nothing in (None, SearchPrior.from_searches([])):
        found = carry(nothing, hump(1.0))
        assert isinstance(found, SearchPrior)
        assert best(found) == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize("scores", [[], [0.5], [0.5, 0.5, 0.7], [np.nan] * 4])
def test_scores_that_say_nothing_change_nothing(scores):
    prior = learned(0.0, 1.0)
    assert carry_over(prior, POOL[: len(scores)], scores) is prior


def test_a_failed_candidate_counts_as_the_worst():
    scores = hump(-2.0)
    scores[TRIED[-4:]] = np.nan
    found = carry(learned(-1.0, 1.0), scores)
    assert best(found) < 0
