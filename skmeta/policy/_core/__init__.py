"""Parts shared by policy learners: settings, episodes, advantages, surrogates, fit, priors."""

from skmeta.policy._core._distributions import check_environment
from skmeta.policy._core._meta_fit import evaluate, initial_prior, meta_fit, read_prior
from skmeta.policy._core._policy_gradient import Sample, surrogate_loss
from skmeta.policy._core._rollout import Episodes, concatenate
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import PolicySettings
