"""ALPaCA: Bayesian linear regression on learned features, with a learned prior."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

from skmeta._sklearn_compat import Interval
from skmeta.learners._core import NetworkLearner
from skmeta.learners.hierarchical._learner import HierarchicalLinear


class ALPaCA(NetworkLearner, HierarchicalLinear):
    """Bayesian linear regression on the features of a learned network.

    The last layer of a task is drawn from a normal distribution that all tasks share. A new task
    is learned in closed form, without gradient steps, and its predictions are distributions.
    Meta-training maximises the log predictive density of the query rows over the weights of the
    network, the mean and the covariance of the last layer, and the noise.

    Meta-training starts from random weights of the network, and from the prior of
    :class:`HierarchicalLinear` on its features. With ``backbone="identity"`` and
    ``n_iterations=0`` the two learners are the same. Classifications, which are not in the paper,
    have the closest normal distribution in place of the posterior.

    Parameters
    ----------
    effects : {"auto", "intercept", "slopes", "correlated"}, default="auto"
        Which coefficients differ between tasks at first, as in :class:`HierarchicalLinear`.
    rank : int, default=2
        Rank of the initial covariance, as in :class:`HierarchicalLinear`. Meta-training changes
        the whole covariance.
    shrinkage : float, default=1.0
        Shrinkage of the initial covariance, as in :class:`HierarchicalLinear`.

    References
    ----------
    Harrison, Sharma and Pavone (2018), Meta-learning priors for efficient online Bayesian
    regression, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import MetaFewShotRegressor
    >>> from skmeta.learners import ALPaCA
    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat(np.arange(30), 20)
    >>> X = rng.uniform(-3, 3, size=(600, 1))
    >>> y = np.sin(X[:, 0] + rng.normal(size=30)[groups])
    >>> learner = ALPaCA(backbone_params={"hidden": (16,)}, n_iterations=20, random_state=0)
    >>> prior = learner.fit(X[20:], y[20:], groups=groups[20:]).prior_
    >>> reg = MetaFewShotRegressor(prior).fit(X[:5], y[:5])  # a group of its own
    >>> mean, std = reg.predict(X[5:20], return_std=True)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_iterations": [Interval(Integral, 0, None, closed="left")]
    }
