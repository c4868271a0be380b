"""Sound files of priors that ask for more than they hold."""

import os

import numpy as np
import pytest

from skmeta.exceptions import PriorError
from skmeta.few_shot import MetaFewShotClassifier
from skmeta.learners import MAML
from skmeta.policy import MetaPolicy, PointNavigation, PolicyMAML
from skmeta.priors import MetaPrior

if os.name == "nt":
    pytest.skip("the guards on time and memory need POSIX", allow_module_level=True)

from mutations import bounded


@pytest.mark.parametrize("hidden", [(40, 41), (10**6, 10**6), (40, 40, 10**7), (10**30,)])
def test_a_prior_that_names_a_large_network_is_refused(hidden, tmp_path):
    X, y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    prior = MAML().initial_prior(X, n_classes=2)
    prior.replace(backbone_params={"hidden": hidden}).save(tmp_path / "hostile.skmeta")
    hostile = MetaPrior.load(tmp_path / "hostile.skmeta")
    with (
        bounded(),
        pytest.raises(PriorError, match=r"The prior names|does not have the prior's weights"),
    ):
        MetaFewShotClassifier(hostile).fit(X, y)
    MetaFewShotClassifier(prior).fit(X, y)


def test_a_policy_that_names_a_large_network_is_refused():
    family = PointNavigation(max_episode_steps=5)
    hostile = (
        PolicyMAML(hidden=(8,))
        .initial_prior(family)
        .replace(backbone_params={"hidden": (10**6, 10**6), "activation": "tanh"})
    )
    env = family.make(family.sample(1, np.random.default_rng(0))[0])
    with bounded(), pytest.raises(PriorError, match=r"'body.1.bias' has shape"):
        MetaPolicy(hostile).fit(env)
