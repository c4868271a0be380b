"""Parts shared by policy learners: settings, episodes, advantages, surrogates, fit, priors."""

from skmeta.policy._core._meta_fit import evaluate as evaluate
from skmeta.policy._core._meta_fit import initial_prior as initial_prior
from skmeta.policy._core._meta_fit import meta_fit as meta_fit
from skmeta.policy._core._prior_io import read_prior as read_prior
from skmeta.policy._core._rollout import Episodes as Episodes
from skmeta.policy._core._rollout import concatenate as concatenate
from skmeta.policy._core._session import PolicySession as PolicySession
from skmeta.policy._core._settings import PolicySettings as PolicySettings
from skmeta.policy._core._spaces import check_environment as check_environment
from skmeta.policy._core._surrogate import Sample as Sample
from skmeta.policy._core._surrogate import surrogate_loss as surrogate_loss
