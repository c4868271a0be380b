"""Importance of the parameters of a search.

A Gaussian process, that of a search without history, is fitted to the scores of the candidates.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration
from skmeta.search.space import Encoding, plain_value
from skmeta.search.surrogate import PlainModel, standardise, winsorize_scores, with_one_thread

Array = NDArray[np.float64]

MIN_CANDIDATES = 6
_WINSOR_FACTOR = 2.0  # as for the surfaces of past searches
_MAX_ROWS = 250  # the best candidates of a larger search
_N_PERMUTED = 1000  # rows with permuted values of each parameter


class Importance(NamedTuple):
    """Total effects of parameters, the largest first.

    Attributes
    ----------
    names : tuple of str
        The parameters.
    values : ndarray of shape (n_parameters,)
        Share of the variance of the candidates' expected scores that a parameter accounts for,
        alone or together with others.
    """

    names: tuple[str, ...]
    values: Array


def parameter_importance(params: Sequence[Mapping[str, Any]], scores: Any) -> Importance:
    """Return the total effect of each parameter that varies.

    Parameters
    ----------
    params : sequence of dict
        Parameters of the candidates.
    scores : array-like of shape (n_candidates,)
        Greater is better; NaN for a candidate that failed.

    Returns
    -------
    Importance
        The largest effect first.

    Raises
    ------
    ValueError
        If fewer than six candidates have a score, all scores are equal, or no parameter varies.

    Notes
    -----
    This is permutation importance on the model: candidates exchange the values of a parameter, and
    all other values stay. The mean squared change of the expected score over twice its variance is
    Sobol's total index, by Jansen's estimator [1]_. Effects add up to more than 1 if parameters
    interact. Candidates of the same sub-space exchange values. Those of different ones exchange a
    parameter that tells the sub-spaces apart, and with it those that only one of them has.

    References
    ----------
    .. [1] Saltelli et al. (2010), Variance based sensitivity analysis of model output, table 2 (f).
    """
    values = np.asarray(scores, dtype=np.float64)
    rows = np.sort(np.argsort(-values, kind="stable")[: np.isfinite(values).sum()][:_MAX_ROWS])
    tried = [{name: plain_value(v) for name, v in params[i].items()} for i in rows.tolist()]
    names = [n for n in dict.fromkeys(n for one in tried for n in one) if _varies(n, tried)]
    if len(rows) < MIN_CANDIDATES or standardise(values[rows]) is None or not names:
        raise ValueError(
            f"Importance needs at least {MIN_CANDIDATES} candidates with a score, different scores "
            f"and a parameter that varies; {len(rows)} candidates have a score. Evaluate more "
            "candidates."
        )
    rng, n_repeats = np.random.default_rng(0), -(-_N_PERMUTED // len(tried))
    changed = [
        one for name in names for _ in range(n_repeats) for one in _exchanged(tried, name, rng)
    ]
    mean = _expected_scores(tried, values[rows], changed)
    before, after = mean[: len(tried)], mean[len(tried) :].reshape(len(names), n_repeats, -1)
    variance = max(float(before.var()), np.finfo(np.float64).tiny)
    effects = np.clip(((after - before) ** 2).mean(axis=(1, 2)) / (2 * variance), 0, 1)
    order = np.argsort(-effects, kind="stable")
    return Importance(tuple(names[j] for j in order), effects[order])


def _varies(name: str, configurations: Sequence[Configuration]) -> bool:
    """Return whether a parameter has several values, or is missing in some configurations."""
    return len({one.get(name, ...) for one in configurations}) > 1


@with_one_thread()
def _expected_scores(
    tried: Sequence[Configuration], scores: Array, others: Sequence[Configuration]
) -> Array:
    """Return the expected scores of the candidates tried, and of other configurations.

    Very low scores are raised, as in the surfaces of past searches, because they would hide the
    differences between good candidates.
    """
    raised = winsorize_scores(scores, _WINSOR_FACTOR)
    encoding = Encoding.from_configurations(tried)
    X = encoding.transform([*tried, *others], {name for one in tried for name in one})
    model = PlainModel(X, encoding.groups)
    model.observe(np.arange(len(tried)), (raised - raised.mean()) / raised.std(), len(tried))
    return model.predict()[0]


def _exchanged(
    tried: Sequence[Configuration], name: str, rng: np.random.Generator
) -> list[Configuration]:
    """Return the candidates after they have exchanged the values of a parameter."""
    spaces: dict[frozenset[str], list[int]] = {}
    for row, one in enumerate(tried):
        if name in one:
            spaces.setdefault(frozenset(one), []).append(row)
    exchanging = list(spaces.values())
    if not any(_varies(name, [tried[i] for i in rows]) for rows in exchanging):
        exchanging = [[i for rows in exchanging for i in rows]]
    changed = list(tried)
    for rows in exchanging:
        for row, donor in zip(rows, rng.permutation(rows).tolist(), strict=True):
            other = tried[donor]
            kept = {n: v for n, v in tried[row].items() if n in other and n != name}
            changed[row] = {**other, **kept}
    return changed
