"""The prior of a family of regressions by marginal likelihood: a linear mixed-effects model.

Notation as in `_gaussian_evidence`: G tasks, q coefficients, sufficient statistics A, b, c and n.
Coefficients of a task are drawn from N(m, S), targets from N(Z b, sigma^2).

If the noise differs between tasks, two steps alternate: S, m and sigma are estimated with tasks
weighted by their expected precision, and the distribution of sigma given S and m.

Effects of tasks often have heavier tails than a normal distribution. So they are drawn from
N(0, s^2 S), where the logarithm of the scale s of a task is N(0, tau^2) over tasks. Otherwise a
task that is far from the others would pass for a noisy one if the noise may differ, and its effects
would be shrunken too much. tau maximises the marginal likelihood, given all else.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Bates, Maechler,
Bolker and Walker (2015), Fitting linear mixed-effects models using lme4, section 3; West (1987), On
scale mixtures of normal distributions; Pinheiro, Liu and Wu (2001), Efficient algorithms for robust
estimation in linear mixed-effects models using the multivariate t distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import Episodes, target_log_densities
from skmeta.mixed._forms import Fit, Prior, maximise
from skmeta.mixed._gaussian_evidence import GaussianEvidence
from skmeta.mixed._noise import (
    effect_scales,
    estimate_noise,
    estimate_scales,
    expected_ratio,
    noise_levels,
)
from skmeta.mixed._statistics import GroupStatistics

_N_REWEIGHTINGS = 3
# The fit of twice as many tasks, or more, starts from that of so many.
_ENOUGH_TASKS = 400
# Decreases of minus the log likelihood that end the optimisation.
_COARSE, _PRECISE = 1e-2, 1e-5
# Levels of the noise and scales of the effects in a comparison of forms.
_N_LEVELS, _N_SCALES = 7, 3
# Where log sigma and the standard deviation of it over tasks start. Not from a spread near 0, where
# the likelihood is flat.
_START_LOG_NOISE, _START_SPREAD, _LEAST_START_SPREAD = np.log(0.7), 0.2, 0.05


@dataclass(frozen=True)
class Regressions:
    """A family of regressions.

    Attributes
    ----------
    statistics : GroupStatistics
        Sufficient statistics of the tasks.
    varied_noise : bool
        Whether sigma differs between tasks.
    heavy_tails : bool
        Whether s does.
    """

    statistics: GroupStatistics
    varied_noise: bool
    heavy_tails: bool

    def take(self, tasks: np.ndarray) -> Regressions:
        """Return some of the tasks."""
        return Regressions(self.statistics.take(tasks), self.varied_noise, self.heavy_tails)

    def log_densities(self, prior: Prior, episodes: Episodes) -> np.ndarray:
        """Return log predictive densities (e, m) of the query rows of episodes."""
        levels = noise_levels(prior.log_noise, prior.log_spread, _N_LEVELS)
        scales = effect_scales(prior.log_scale_spread, _N_SCALES)
        covariance = (prior.covariance + prior.mean_covariance)[0]
        return target_log_densities(episodes, prior.mean[:, 0], covariance, *levels, *scales)

    def fit(self, shape: CovarianceShape, start: Fit | None = None, coarse: bool = False) -> Fit:
        """Maximise the marginal likelihood.

        Parameters
        ----------
        shape : CovarianceShape
            Form of S, and its shrinkage.
        start : Fit, optional
            A fit of the same form, or of the same form without correlations.
        coarse : bool, default=False
            Whether a rough optimum, near the start, is enough.

        Returns
        -------
        Fit
            The estimates. The parameters are those of the covariance, then the logarithms of the
            noise and of the scale of the prior of m.
        """
        n_tasks = len(self.statistics.n_rows)
        if not coarse and n_tasks >= 2 * _ENOUGH_TASKS:
            some = np.linspace(0, n_tasks - 1, _ENOUGH_TASKS).round().astype(int)
            start, coarse = self.take(some).fit(shape, start), True
        ratio, log_spread = np.ones(n_tasks), float(np.log(_START_SPREAD))
        if start is None:
            parameters = np.append(shape.start(), [_START_LOG_NOISE, 0.0])
        else:
            parameters = shape.extended(start.parameters, 2)
        if start is not None and start.prior.log_spread is not None:
            before = GaussianEvidence(self.statistics, shape).estimates(parameters)
            levels = start.prior.log_noise, start.prior.log_spread
            ratio = expected_ratio(self.statistics, before, *levels)
            log_spread = max(start.prior.log_spread, float(np.log(_LEAST_START_SPREAD)))
        for _ in range(_N_REWEIGHTINGS if self.varied_noise and not coarse else 1):
            evidence = GaussianEvidence(self.statistics.weighted(ratio), shape)
            tolerance = _COARSE if coarse else _PRECISE
            parameters = maximise(evidence, parameters, tolerance, start is not None)
            effects = evidence.estimates(parameters)
            log_noise = float(parameters[shape.n_parameters])
            if self.varied_noise:
                log_noise, log_spread, ratio = estimate_noise(
                    self.statistics, effects, log_noise, log_spread
                )
        log_scale_spread = None
        if self.heavy_tails and coarse and start is not None:
            log_scale_spread = start.prior.log_scale_spread
        elif self.heavy_tails:
            spread = log_spread if self.varied_noise else None
            log_scale_spread = estimate_scales(self.statistics, effects, log_noise, spread)
        prior = Prior(
            effects.mean[:, None],
            effects.covariance[None],
            effects.mean_covariance[None],
            log_noise,
            log_spread if self.varied_noise else None,
            log_scale_spread,
        )
        return Fit(prior, parameters)
