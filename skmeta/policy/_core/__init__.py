"""Parts shared by policy learners: settings, episodes, advantages, surrogates, fit, priors."""

from skmeta.policy._core._meta_fit import evaluate, initial_prior, meta_fit
from skmeta.policy._core._prior_io import read_prior
from skmeta.policy._core._rollout import Episodes, concatenate
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import PolicySettings
from skmeta.policy._core._spaces import check_environment
from skmeta.policy._core._surrogate import Sample, surrogate_loss
