"""A cheetah that is told neither its direction nor its speed, in MuJoCo.

    pip install '.[mujoco]'
    python examples/policy/half_cheetah.py direction --iterations 200
    python examples/policy/half_cheetah.py velocity --iterations 200

These are the locomotion tasks of the MAML paper (section 5.3): run forwards or backwards, or at a
speed that is drawn from 0 to 2 metres per second. It is a script and not part of the gallery, since
MuJoCo is stepped one environment at a time, and a good policy takes some hundred meta-iterations.
"""

import argparse

import gymnasium

from skmeta.learners import ExecutionOptions, Validation
from skmeta.policy import PolicyMAML


class Rewarded(gymnasium.Wrapper):
    """HalfCheetah with the reward of a task."""

    def __init__(self, env, kind, goal):
        super().__init__(env)
        self.kind, self.goal = kind, goal

    def step(self, action):
        seen, _, terminated, truncated, info = self.env.step(action)
        speed = info["x_velocity"]
        reward = self.goal * speed if self.kind == "direction" else -abs(speed - self.goal)
        return seen, reward + info["reward_ctrl"], terminated, truncated, info


class HalfCheetah:
    """Cheetahs that run in a direction, or at a speed.

    Parameters
    ----------
    kind : {"direction", "velocity"}
        What a task is.
    max_episode_steps : int, default=200
        Steps of an episode.
    """

    def __init__(self, kind, max_episode_steps=200):
        self.kind = kind
        self.max_episode_steps = max_episode_steps

    def sample(self, n, rng):
        if self.kind == "direction":
            return [{"goal": float(goal)} for goal in rng.choice([-1.0, 1.0], n)]
        return [{"goal": float(goal)} for goal in rng.uniform(0.0, 2.0, n)]

    def make(self, task):
        env = gymnasium.make("HalfCheetah-v5", max_episode_steps=self.max_episode_steps)
        return Rewarded(env, self.kind, task["goal"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["direction", "velocity"])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=20, help="tasks of a meta-iteration")
    parser.add_argument("--episodes", type=int, default=20, help="episodes before each update")
    parser.add_argument("--steps", type=int, default=200, help="steps of an episode")
    parser.add_argument("--checkpoint", help="file to go on from")
    args = parser.parse_args()
    family = HalfCheetah(args.kind, args.steps)
    learner = PolicyMAML(
        n_iterations=args.iterations,
        meta_batch_size=args.tasks,
        n_episodes=args.episodes,
        learn={"inner_lr": "tensor and step"},
        validation=Validation(0.0, every=1),
        execution=ExecutionOptions(checkpoint=args.checkpoint),
        verbose=1,
        random_state=0,
    ).fit(family)
    learner.set_params(random_state=1)
    returns = learner.score_tasks(family, n_tasks=4, n_updates=3)
    for k, mean in enumerate(returns.mean(1)):
        print(f"after {k} updates: {mean:.1f}")


if __name__ == "__main__":
    main()
