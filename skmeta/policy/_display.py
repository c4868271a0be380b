"""Plot returns and paths of policies before and after each update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skmeta._optional import import_optional
from skmeta._random import check_rng
from skmeta._validation import check_count
from skmeta.policy._policy import MetaPolicy
from skmeta.policy.environments import TaskFamily, make_vector
from skmeta.priors import MetaPrior

_KINDS = ("returns", "paths")
# Policies can be told apart without colours.
_MARKERS, _LINES = "osD^v", ("-", "--", "-.", ":")


@dataclass(frozen=True)
class AdaptationRecord:
    """How one prior adapted to several tasks.

    Attributes
    ----------
    returns : ndarray of shape (n_updates + 1, n_tasks)
        Mean return with the most likely actions, before and after each update.
    paths : list of list of ndarray of shape (n_steps, n_features)
        Observations of one episode, for each task and each number of updates.
    tasks : list
        The tasks.
    """

    returns: np.ndarray
    paths: list[list[np.ndarray]]
    tasks: list[Any]


class PolicyDisplay:
    """Returns by number of updates of several policies, and the paths of an episode.

    Make one with :meth:`from_priors`; draw it again with :meth:`plot`.

    Parameters
    ----------
    records : mapping of str to AdaptationRecord
        How each prior adapted, by its name.
    kind : {"returns", "paths"}, default="returns"
        What to draw.
    path_features : tuple of int, default=(0, 1)
        Features of an observation that are drawn against each other.

    Attributes
    ----------
    ax_ : matplotlib Axes or ndarray of Axes
        What was drawn on; for paths one for each prior and task.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from skmeta.policy import PointNavigation, PolicyDisplay, PolicyMAML
    >>> family = PointNavigation(max_episode_steps=20)
    >>> learner = PolicyMAML(n_iterations=2, meta_batch_size=4, n_episodes=5, random_state=0)
    >>> learner.fit(family)
    PolicyMAML(...)
    >>> display = PolicyDisplay.from_priors(
    ...     {"MAML": learner.prior_}, family, n_tasks=3, n_updates=2, n_episodes=5, random_state=0
    ... )
    >>> display.records["MAML"].returns.shape
    (3, 3)
    """

    def __init__(
        self,
        *,
        records: Mapping[str, AdaptationRecord],
        kind: str = "returns",
        path_features: tuple[int, int] = (0, 1),
    ) -> None:
        self.records = records
        self.kind = kind
        self.path_features = path_features

    @classmethod
    def from_priors(
        cls,
        priors: Mapping[str, MetaPrior | MetaPolicy],
        family: TaskFamily,
        *,
        kind: str = "returns",
        n_tasks: int = 40,
        n_updates: int = 3,
        n_episodes: int = 20,
        path_features: tuple[int, int] = (0, 1),
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Adapt each prior to the same new tasks, and draw the results.

        Parameters
        ----------
        priors : mapping of str to MetaPrior or MetaPolicy
            Priors by name, or policies that hold one, with parameters such as ``inner_lr``.
        family : TaskFamily
            Draws the tasks.
        kind : {"returns", "paths"}, default="returns"
            ``"returns"``: mean return by number of updates, with a 95% interval over tasks.
            ``"paths"``: an episode before and after each update, a row for each prior and a column
            for each task.
        n_tasks : int, default=40
            Number of tasks.
        n_updates : int, default=3
            Number of updates.
        n_episodes : int, default=20
            Episodes before each update.
        path_features : tuple of int, default=(0, 1)
            Features of an observation that are drawn against each other.
        random_state : int, Generator, RandomState or None, default=None
            Seed of tasks and episodes.
        ax : matplotlib Axes, or array-like of them, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        PolicyDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If ``kind`` is unknown, or there is no prior.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
        if not priors:
            raise ValueError("priors is empty. Give one prior or more by name.")
        n_tasks = check_count(n_tasks, "n_tasks")
        n_updates = check_count(n_updates, "n_updates", minimum=0)
        rng = check_rng(random_state)
        tasks = list(family.sample(n_tasks, rng))
        seed = int(rng.integers(2**31))
        records = {
            name: _adapt(prior, family, tasks, n_updates, n_episodes, seed)
            for name, prior in priors.items()
        }
        return cls(records=records, kind=kind, path_features=path_features).plot(ax)

    def plot(self, ax: Any = None, *, kind: str | None = None) -> Self:
        """Draw the records.

        Parameters
        ----------
        ax : matplotlib Axes, or array-like of them, default=None
            Where to draw: for paths an axis for each prior and task. None makes a figure.
        kind : {"returns", "paths"}, optional
            What to draw; by default as before.

        Returns
        -------
        PolicyDisplay
            This display.
        """
        kind = self.kind if kind is None else kind
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
        draw = self._plot_returns if kind == "returns" else self._plot_paths
        draw(import_optional("matplotlib.pyplot", "plot"), ax)
        return self

    def _plot_returns(self, plt: Any, ax: Any) -> None:
        if ax is None:
            _, ax = plt.subplots()
        for k, (name, record) in enumerate(self.records.items()):
            mean = record.returns.mean(1)
            half = np.zeros_like(mean)
            if record.returns.shape[1] > 1:
                half = 1.96 * record.returns.std(1, ddof=1) / np.sqrt(record.returns.shape[1])
            steps = np.arange(len(mean))
            style = {"marker": _MARKERS[k % len(_MARKERS)], "linestyle": _LINES[k % len(_LINES)]}
            (line,) = ax.plot(steps, mean, label=name, **style)
            ax.fill_between(steps, mean - half, mean + half, color=line.get_color(), alpha=0.2)
        ax.set(xlabel="updates", ylabel="mean return", xticks=steps)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_paths(self, plt: Any, ax: Any) -> None:
        n_rows = len(self.records)
        n_columns = len(next(iter(self.records.values())).tasks)
        if ax is None:
            size = (2.6 * n_columns, 2.6 * n_rows)
            _, ax = plt.subplots(
                n_rows, n_columns, figsize=size, sharex=True, sharey=True, squeeze=False
            )
        axes = np.asarray(ax).reshape(n_rows, n_columns)
        colors = plt.get_cmap("viridis")
        for row, (name, record) in zip(axes, self.records.items(), strict=True):
            for axis, paths, task in zip(row, record.paths, record.tasks, strict=True):
                for k, path in enumerate(paths):
                    label = "before" if k == 0 else f"{k} update{'s' * (k > 1)}"
                    color = "0.6" if k == 0 else colors((k - 1) / max(1, len(paths) - 1))
                    x, y = (path[:, feature] for feature in self.path_features)
                    axis.plot(x, y, color=color, marker=".", markersize=3, label=label)
                if isinstance(task, Mapping) and {"goal_x", "goal_y"} <= task.keys():
                    axis.plot(task["goal_x"], task["goal_y"], "r*", markersize=12, label="goal")
            row[0].set_ylabel(name)
        axes[0, 0].legend(fontsize="x-small")
        self.ax_, self.figure_ = axes, axes[0, 0].figure


def _adapt(
    prior: MetaPrior | MetaPolicy,
    family: TaskFamily,
    tasks: Sequence[Any],
    n_updates: int,
    n_episodes: int,
    seed: int,
) -> AdaptationRecord:
    given = prior if isinstance(prior, MetaPolicy) else MetaPolicy(prior)
    returns = np.empty((n_updates + 1, len(tasks)))
    paths: list[list[np.ndarray]] = []
    for column, task in enumerate(tasks):
        policy = MetaPolicy(**given.get_params(deep=False) | {"n_inner_steps": 0})
        policy.set_params(random_state=seed + column)
        env = make_vector(family, [task], n_episodes)
        policy.fit(env)
        paths.append([])
        for k in range(n_updates + 1):
            if k > 0:
                policy.partial_fit(env, n_episodes=n_episodes)
            returns[k, column] = policy.score(env, n_episodes=n_episodes)
            paths[-1].append(_path(policy, family.make(task), seed + column))
    return AdaptationRecord(returns, paths, list(tasks))


def _path(policy: MetaPolicy, env: Any, seed: int) -> np.ndarray:
    """Return observations (n_steps, n_features) of an episode with the most likely actions."""
    return np.array([seen for seen, _ in policy.play(env, seed=seed)])
