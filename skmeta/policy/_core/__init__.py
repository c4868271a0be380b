"""Parts shared by policy learners: settings, episodes, advantages, surrogates, fit, priors."""

from skmeta.policy._core._advantages import (
    discounted_sums,
    generalised_advantages,
    linear_baseline,
    standardise,
)
from skmeta.policy._core._distributions import Categorical, Gaussian, make_distribution
from skmeta.policy._core._learner import PolicyLearner
from skmeta.policy._core._prior_io import ADAPTED, read_prior
from skmeta.policy._core._rollout import Episodes, collect, concatenate
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import POLICY_LEARNERS
from skmeta.policy._core._spaces import check_environment
from skmeta.policy._core._surrogate import Sample, inner_loss, mean_kl, outer_loss, sampling_loss
from skmeta.policy._core._trust_region import trust_region_step

__all__ = [
    "ADAPTED",
    "POLICY_LEARNERS",
    "Categorical",
    "Episodes",
    "Gaussian",
    "PolicyLearner",
    "PolicySession",
    "Sample",
    "check_environment",
    "collect",
    "concatenate",
    "discounted_sums",
    "generalised_advantages",
    "inner_loss",
    "linear_baseline",
    "make_distribution",
    "mean_kl",
    "outer_loss",
    "read_prior",
    "sampling_loss",
    "standardise",
    "trust_region_step",
]
