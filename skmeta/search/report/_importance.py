"""How much each parameter matters for the score, by a model of the scores.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
f       function         a function that the scores may come from, drawn from the model
A       (n,)             random configurations
A_j     (n,)             the same, with parameter j drawn again
T_j     scalar           total effect of parameter j
======  ===============  ====================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration
from skmeta.search.report._sampler import ConfigurationSampler
from skmeta.search.space import plain_value
from skmeta.search.surrogate import ScoreModel

# With fewer candidates, intervals would reach from 0 to 1.
MIN_CANDIDATES = 6
_N_ROWS = 1024
_N_PER_KERNEL = 16
_INTERVAL = (0.05, 0.95)


@dataclass(frozen=True)
class FittedScores:
    """A model of the scores of a search, and the candidates that it was fitted to.

    Attributes
    ----------
    configurations : tuple of dict
        The candidates, with plain values.
    scores : ndarray of shape (n_candidates,)
    model : ScoreModel
    sampler : ConfigurationSampler
    """

    configurations: tuple[Configuration, ...]
    scores: NDArray[np.float64]
    model: ScoreModel
    sampler: ConfigurationSampler

    @property
    def best(self) -> Configuration:
        """The candidate with the best score."""
        return self.configurations[int(np.nanargmax(self.scores))]


@dataclass(frozen=True)
class Importance:
    """Total effects of parameters, the largest first.

    Attributes
    ----------
    names : tuple of str
        The parameters.
    values, low, high : ndarray of shape (n_parameters,)
        Mean, 5% and 95% quantile of the total effect over the functions that the scores leave
        open: the share of the variance of the score, over the region that was tried, that a
        parameter accounts for, alone or together with others.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def fit_scores(params: Sequence[Mapping[str, Any]], scores: Any) -> FittedScores | None:
    """Fit a model to the scores of a search.

    Parameters
    ----------
    params : sequence of dict
        Parameters of the candidates.
    scores : array-like of shape (n_candidates,)
        Greater is better; NaN for a candidate that failed.

    Returns
    -------
    FittedScores or None
        None if there is nothing to learn: fewer than six candidates with a score, scores that are
        all equal, or no parameter that varies.
    """
    values = np.array(scores, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    configurations = tuple({n: plain_value(v) for n, v in one.items()} for one in params)
    if np.isfinite(values).sum() < MIN_CANDIDATES:
        return None
    try:
        model = ScoreModel(configurations, values, np.random.default_rng(0))
    except ValueError:  # equal scores, or no parameter that varies
        return None
    tried = [c for c, score in zip(configurations, values, strict=True) if np.isfinite(score)]
    return FittedScores(configurations, values, model, ConfigurationSampler(tried))


def parameter_importance(fitted: FittedScores) -> Importance:
    """Return the total effect of each parameter that varies, with an interval.

    Parameters
    ----------
    fitted : FittedScores

    Returns
    -------
    Importance

    Notes
    -----
    The total effect of a parameter is Sobol's total index [1]_ of the expected score,
    ``T_j = E[(f(A) - f(A_j))^2] / (2 Var f(A))`` by Jansen's estimator [2]_: how much the score
    changes if the parameter is drawn again and all others stay. It is permutation importance on
    the model. Effects add up to more than 1 if parameters interact. In a space with sub-spaces, a
    parameter counts where it exists.

    References
    ----------
    .. [1] Hutter, Hoos, Leyton-Brown (2014), An efficient approach for assessing hyperparameter
       importance.
    .. [2] Saltelli et al. (2010), Variance based sensitivity analysis of model output, table 2 (f).
    """
    rng = np.random.default_rng(0)
    names = fitted.sampler.varying
    functions = fitted.model.sample_functions(_N_PER_KERNEL, rng)
    A = fitted.sampler.draw(_N_ROWS, rng)
    before = functions(A)
    variance = np.maximum(before.var(axis=1), np.finfo(np.float64).tiny)
    effects = np.empty((len(names), len(before)))
    for j, name in enumerate(names):
        after = functions(fitted.sampler.redraw(A, name, rng))
        effects[j] = np.clip(((before - after) ** 2).mean(axis=1) / (2 * variance), 0, 1)
    values = effects.mean(axis=1)
    low, high = np.quantile(effects, _INTERVAL, axis=1)
    order = np.argsort(-values, kind="stable")
    return Importance(tuple(names[j] for j in order), values[order], low[order], high[order])
