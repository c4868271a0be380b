"""Families of environments, and the estimator: adapts, acts, saves, refuses what does not fit."""

import pickle

import gymnasium
import numpy as np
import pytest
from scipy.stats import uniform
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmeta.exceptions import EpisodeError, PriorError
from skmeta.few_shot import MetaFewShotClassifier
from skmeta.learners import ProtoNet
from skmeta.policy import EnvironmentFamily, MetaPolicy, PointNavigation, PolicyMAML
from skmeta.policy.environments import make_vector
from skmeta.priors import MetaPrior

TASK = {"goal_x": 0.3, "goal_y": 0.2}


def fitted(family, **settings):
    defaults = {"backbone_params": {"hidden": (8,)}, "n_iterations": 2, "meta_batch_size": 3}
    defaults |= {"n_episodes": 4, "random_state": 0}
    settings = defaults | settings
    return PolicyMAML(**settings).fit(family)


@pytest.fixture(scope="module")
def family():
    return PointNavigation(max_episode_steps=15)


@pytest.fixture(scope="module")
def prior(family):
    return fitted(family).prior_


def test_fit_makes_as_many_updates_as_in_meta_training(prior, family):
    policy = MetaPolicy(prior, random_state=0).fit(family.make(TASK), n_episodes=4)
    assert policy.n_updates_ == len(policy.returns_) == 1
    start = prior.tensors
    assert all(not np.array_equal(v, start[n]) for n, v in policy.adapted_.items())
    two = MetaPolicy(prior, n_inner_steps=2, random_state=0).fit(family.make(TASK), n_episodes=4)
    one_more = policy.partial_fit(family.make(TASK), n_episodes=4)
    for name, value in two.adapted_.items():
        assert np.array_equal(value, one_more.adapted_[name])
    assert two.returns_ == one_more.returns_


def test_steps_beyond_those_of_meta_training_are_half_as_long(prior, family):
    env = family.make(TASK)
    policy = MetaPolicy(prior, random_state=0).fit(env, n_episodes=4)
    first = policy.adapted_
    later = policy.partial_fit(env, n_episodes=4).adapted_
    # As if there had been two steps in meta-training.
    of_two = prior.replace(learner_params={**prior.learner_params, "n_inner_steps": 2})
    full = MetaPolicy(of_two, random_state=0).fit(env, n_episodes=4).adapted_
    for name, value in first.items():
        np.testing.assert_allclose(later[name] - value, (full[name] - value) / 2, atol=1e-7)
        assert not np.array_equal(full[name], value)


def test_an_episode_by_hand_has_the_score(prior, family):
    env = family.make(TASK)
    policy = MetaPolicy(prior, random_state=0).fit(env, n_episodes=4)
    seen, _ = env.reset(seed=0)
    total, over = 0.0, False
    while not over:
        seen, reward, terminated, truncated, _ = env.step(policy.predict(seen))
        total, over = total + reward, terminated or truncated
    assert policy.score(env, n_episodes=2) == pytest.approx(total, rel=1e-5)


def test_predict_takes_one_observation_or_several(prior, family):
    policy = MetaPolicy(prior, random_state=0).fit(family.make(TASK), n_episodes=4)
    rows = np.random.default_rng(0).normal(size=(5, 2))
    together = policy.predict(rows)
    assert together.shape == (5, 2)
    np.testing.assert_allclose(policy.predict(rows[2]), together[2], rtol=1e-5, atol=1e-7)
    assert family.action_space.contains(together[0])


def test_scikit_learn_conventions(prior, family):
    policy = MetaPolicy(prior, inner_lr=0.2, random_state=0)
    assert clone(policy).get_params() == policy.get_params()
    assert clone(policy).prior is prior
    one = policy.fit(family.make(TASK), n_episodes=4)
    two = clone(policy).fit(family.make(TASK), n_episodes=4)
    for name, value in one.adapted_.items():
        assert np.array_equal(value, two.adapted_[name])
    with pytest.raises(NotFittedError):
        clone(policy).predict(np.zeros(2))
    with pytest.raises(ValueError, match="The 'inner_lr' parameter of MetaPolicy"):
        MetaPolicy(prior, inner_lr=-1).fit(family.make(TASK))


def test_a_policy_survives_a_file(prior, family, tmp_path):
    policy = MetaPolicy(prior, random_state=0).fit(family.make(TASK), n_episodes=4)
    loaded = pickle.loads(pickle.dumps(policy))
    rows = np.random.default_rng(0).normal(size=(5, 2))
    assert np.array_equal(loaded.predict(rows), policy.predict(rows))
    assert loaded.prior == prior
    assert (loaded.n_updates_, loaded.returns_) == (1, policy.returns_)
    prior.save(tmp_path / "prior")
    again = MetaPolicy(MetaPrior.load(tmp_path / "prior"), random_state=0)
    again.fit(family.make(TASK), n_episodes=4)
    assert np.array_equal(again.predict(rows), policy.predict(rows))


class Broken(gymnasium.Wrapper):
    """Gives no number at the third step."""

    def __init__(self, env, what):
        super().__init__(env)
        self.what, self.at = what, 0

    def reset(self, **kwargs):
        self.at = 0
        return self.env.reset(**kwargs)

    def step(self, action):
        self.at += 1
        seen, reward, terminated, truncated, info = self.env.step(action)
        if self.at == 3 and self.what == "reward":
            reward = np.nan
        if self.at == 3 and self.what == "observation":
            seen = np.full_like(seen, np.inf)
        if self.what == "end":
            terminated = truncated = False
        return seen, reward, terminated, truncated, info


def other_actions(family):
    low = np.full(2, -1, np.float32)
    return gymnasium.wrappers.RescaleAction(family.make(TASK), low, -low)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda _: gymnasium.make("Pendulum-v1"), PriorError, "have 3 values, but the prior was"),
        (other_actions, PriorError, r"actions are \{'kind': 'gaussian', 'low'"),
        (lambda _: np.zeros((3, 2)), EpisodeError, r"must be a gymnasium.Env .* got ndarray"),
        (lambda family: Broken(family.make(TASK), "reward"), EpisodeError, "0 is nan at step 2"),
        (lambda family: Broken(family.make(TASK), "observation"), EpisodeError, r"0 is \[inf"),
    ],
    ids=["observations", "actions", "array", "reward", "infinite"],
)
def test_environments_that_are_refused(prior, family, make, error, match):
    with pytest.raises(error, match=match):
        MetaPolicy(prior).fit(make(family))


def test_priors_of_tables_are_not_for_policies_nor_the_other_way_round(prior):
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.repeat([0, 1, 2, 3], 10)
    tables = ProtoNet(backbone="identity").initial_prior(X)
    with pytest.raises(PriorError, match="learned by ProtoNet for classification"):
        MetaPolicy(tables).fit(PointNavigation().make(TASK))
    with pytest.raises(PriorError, match=r"is one for policy. Use skmeta.policy.MetaPol"):
        MetaFewShotClassifier(prior).fit(X, y)


def test_an_episode_that_never_ends_is_cut(prior, family):
    env = Broken(family.make(TASK), "end")
    MetaPolicy(prior, random_state=0).fit(env, n_episodes=2)
    assert env.at == 15
    MetaPolicy(prior, max_episode_steps=7, random_state=0).fit(env, n_episodes=2)
    assert env.at == 7


def test_observations_to_predict_for(prior, family):
    policy = MetaPolicy(prior, random_state=0).fit(family.make(TASK), n_episodes=4)
    with pytest.raises(ValueError, match=r"observation has shape \(3,\), but the policy takes"):
        policy.predict(np.zeros(3))
    with pytest.raises(ValueError, match="observation 1 is"):
        policy.predict([[0, 0], [0, np.nan]])
    with pytest.raises(ValueError, match="n_episodes must be an integer of at least 1"):
        policy.score(family.make(TASK), n_episodes=0)


def test_step_sizes_that_are_learned_are_not_set(family):
    prior = fitted(family, learn={"inner_lr": "weight"}).prior_
    with pytest.raises(ValueError, match="whose inner_lr is learned"):
        MetaPolicy(prior, inner_lr=0.1).fit(family.make(TASK))


def test_dictionaries_are_flattened_by_the_user():
    class Dictionary(gymnasium.Env):
        observation_space = gymnasium.spaces.Dict({"a": gymnasium.spaces.Discrete(2)})
        action_space = gymnasium.spaces.Discrete(2)

    class Family(PointNavigation):
        def make(self, task):
            return Dictionary()

        make_vector = None

    with pytest.raises(EpisodeError, match=r"must be vectors.*FlattenObservation"):
        fitted(Family())


def test_unbounded_observations_need_a_scale():
    with pytest.raises(EpisodeError, match=r"unbounded in dimensions \[1, 3\]"):
        fitted(EnvironmentFamily("CartPole-v1", {}, max_episode_steps=15), standardize=False)


def test_something_that_is_no_family():
    with pytest.raises(EpisodeError, match="int has no sample"):
        fitted(3)

    class Endless(PointNavigation):
        def __init__(self):
            super().__init__()
            self.max_episode_steps = None

    with pytest.raises(EpisodeError, match="max_episode_steps must be an integer"):
        fitted(Endless())


def test_meta_sgd_learns_a_step_size_for_each_weight_and_adapts_by_it(family):
    prior = fitted(family, learn={"inner_lr": "weight", "weight_decay": "scalar"}).prior_
    sizes = {n: v for n, v in prior.tensors.items() if n.startswith("inner_lr.")}
    assert sizes["inner_lr.head.weight"].shape == (1, *prior.tensors["head.weight"].shape)
    assert all(len(np.unique(v)) > 1 for v in sizes.values() if v.size > 2)
    policy = MetaPolicy(prior, random_state=0).fit(family.make(TASK), n_episodes=4)
    assert not {"inner_lr", "weight_decay"} & {n.split(".")[0] for n in policy.adapted_}


def test_a_unit_of_step_sizes_that_there_is_not_is_refused(family):
    with pytest.raises(ValueError, match=r"learn\['inner_lr'\] must be .* Got 'row'"):
        fitted(family, learn={"inner_lr": "row"})


def test_an_episode_that_is_over_stays_as_it_is():
    env = PointNavigation().make_vector([{"goal_x": 0.0, "goal_y": 0.1}, {"goal_x": 0.5}], 1)
    env.reset(seed=0)
    up = np.array([[0.0, 0.1], [0.0, 0.1]])
    seen, rewards, terminated, _, _ = env.step(up)
    assert terminated.tolist() == [True, False]
    np.testing.assert_allclose(rewards, [0.0, -np.hypot(0.5, 0.1)], atol=1e-7)
    seen, rewards, terminated, _, _ = env.step(up)
    assert terminated.tolist() == [True, False]
    assert rewards[0] == 0
    np.testing.assert_allclose(seen, [[0.0, 0.1], [0.0, 0.2]], atol=1e-6)


def test_steps_are_clipped_to_a_tenth():
    env = PointNavigation().make({"goal_x": 0.5, "goal_y": 0.5})
    env.reset(seed=0)
    seen, *_ = env.step(np.array([7.0, -0.05]))
    np.testing.assert_allclose(seen, [0.1, -0.05], atol=1e-7)


def test_attributes_and_constructor_arguments_are_set():
    family = EnvironmentFamily("Pendulum-v1", {"g": uniform(3, 1), "m": uniform(2, 1)})
    (task,) = family.sample(1, np.random.default_rng(0))
    env = family.make(task).unwrapped
    assert (env.g, env.m) == (task["g"], task["m"])
    assert 3 <= task["g"] <= 4


def test_other_environments_are_stepped_one_by_one():
    family = EnvironmentFamily("MountainCarContinuous-v0", {"power": uniform(0.001, 0.002)})
    tasks = family.sample(2, np.random.default_rng(0))
    env = make_vector(family, tasks, 2)
    assert env.num_envs == 4
    assert [e.unwrapped.power for e in env.envs] == [t["power"] for t in tasks for _ in "ab"]


@pytest.mark.parametrize(
    ("env_id", "parameters", "message"),
    [
        ("Pendulm-v1", {}, "'Pendulm-v1' is not an environment of Gymn"),
        ("CartPole-v1", {"lenght": uniform(0, 1)}, r"nor an attribute 'lenght'.*'length'"),
        ("Pendulum-v1", {"g": (0, 1)}, r"parameters\['g'\] must be a distribution"),
    ],
)
def test_families_that_cannot_be(env_id, parameters, message):
    with pytest.raises(EpisodeError, match=message):
        EnvironmentFamily(env_id, parameters)


def test_episodes_without_a_limit():
    name = next(n for n in gymnasium.registry if n.startswith("CliffWalking-"))
    assert gymnasium.spec(name).max_episode_steps is None
    with pytest.raises(EpisodeError, match=r"CliffWalking-v. has no limit of steps"):
        EnvironmentFamily(name, {})


def test_a_square_that_cannot_be():
    with pytest.raises(ValueError, match="max_episode_steps must be an integer of at least 1"):
        PointNavigation(max_episode_steps=0)
