"""The prior of a family of classifications by marginal likelihood: a logistic mixed-effects model.

Notation as in `_class_evidence`: q coefficients, j linear predictors, c classes. Coefficients of
predictor j of a task are drawn from N(m_j, S_j).

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmeta.mixed._class_evidence import ClassEvidence, batch_tasks
from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import Episodes, class_log_probabilities
from skmeta.mixed._forms import Fit, Prior, maximise
from skmeta.mixed._logistic import ClassRows

# Decreases of minus the log likelihood that end the optimisation.
_COARSE, _PRECISE = 1e-2, 1e-3
_START_LOG_RIDGE = -1.0


@dataclass(frozen=True)
class Classifications:
    """A family of classifications.

    Attributes
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,), int64
        Class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    n_classes : int
        c.
    """

    z: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    n_classes: int

    @cached_property
    def batches(self) -> list[ClassRows]:
        """The tasks in batches of similar size."""
        return batch_tasks(self.z, self.y, self.codes, self.n_classes)

    def take(self, tasks: np.ndarray) -> Classifications:
        """Return some of the tasks."""
        rows = np.flatnonzero(np.isin(self.codes, tasks))
        codes = np.searchsorted(tasks, self.codes[rows])
        return Classifications(self.z[rows], self.y[rows], codes, self.n_classes)

    def log_densities(self, prior: Prior, episodes: Episodes) -> np.ndarray:
        """Return log probabilities (e, m) of the classes of the query rows of episodes."""
        covariance = prior.covariance + prior.mean_covariance
        return class_log_probabilities(episodes, prior.mean, covariance)

    def fit(self, shape: CovarianceShape, start: Fit | None = None, coarse: bool = False) -> Fit:
        """Maximise the marginal likelihood; see :class:`~skmeta.mixed._regression.Regressions`.

        The parameters are those of the covariance, then m by predictor, then log tau.
        """
        evidence = ClassEvidence(self.batches, shape)
        if start is None:
            mean = _start_mean(self.batches, shape)
            parameters = np.concatenate([shape.start(), mean, [_START_LOG_RIDGE]])
        else:
            parameters = shape.extended(start.parameters, evidence.n_mean + 1)
        tolerance = _COARSE if coarse else _PRECISE
        parameters = maximise(evidence, parameters, tolerance, start is not None)
        return Fit(evidence.prior(parameters), parameters)


def _start_mean(batches: list[ClassRows], shape: CovarianceShape) -> np.ndarray:
    """Return slopes of 0, and intercepts that give each class its share of the rows."""
    counts = np.sum([(batch.w[..., None] * batch.p).sum((0, 1)) for batch in batches], 0)
    log_share = np.log((counts + 0.5) / (counts + 0.5).sum())
    mean = np.zeros((shape.n_predictors, len(shape.varies)))
    mean[:, 0] = log_share[1] - log_share[0] if len(mean) == 1 else log_share - log_share.mean()
    return mean.ravel()
