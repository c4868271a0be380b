"""Parts shared by policy learners: settings, episodes, advantages, surrogates, fit, priors."""

from skmeta.policy._core._advantages import (
    discounted_sums,
    generalised_advantages,
    linear_baseline,
    standardise,
)
from skmeta.policy._core._distributions import Categorical, Gaussian, make_distribution
from skmeta.policy._core._meta_fit import evaluate, initial_prior, meta_fit
from skmeta.policy._core._prior_io import read_prior
from skmeta.policy._core._rollout import Episodes, collect, concatenate
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import PolicySettings
from skmeta.policy._core._spaces import check_environment
from skmeta.policy._core._surrogate import Sample, surrogate_loss

__all__ = [
    "Categorical",
    "Episodes",
    "Gaussian",
    "PolicySession",
    "PolicySettings",
    "Sample",
    "check_environment",
    "collect",
    "concatenate",
    "discounted_sums",
    "evaluate",
    "generalised_advantages",
    "initial_prior",
    "linear_baseline",
    "make_distribution",
    "meta_fit",
    "read_prior",
    "standardise",
    "surrogate_loss",
]
