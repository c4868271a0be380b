"""A sampler for Optuna that starts from a search prior."""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import loguniform, uniform

from skmeta._optional import import_optional
from skmeta.search.prior import PastSurfaces, load_shipped
from skmeta.search.space import (
    SearchSpace,
    candidate_key,
    canonical_names,
    plain_value,
    predictor_name,
    short_names,
)
from skmeta.search.surrogate import SearchStrategy

optuna = import_optional("optuna", "optuna")
BaseSampler: Any = optuna.samplers.BaseSampler

__all__ = ["PriorSampler"]

_LOCK = threading.Lock()  # of the sessions of all samplers
_POOL_SIZE = 1000
_N_NEAR = 30  # candidates near the best one that join the pool before each trial
_N_VALUES = 64  # that are compared if a parameter is sampled alone
_N_LISTED = 1000  # the most values of a parameter with steps


class PriorSampler(BaseSampler):
    """Sample the trials of an Optuna study as a search of skmeta does, starting from a prior.

    Parameters that all finished trials share are sampled together: models that learned from past
    searches and a Gaussian process without them are weighted by how well they predicted the values
    of the study so far. Other parameters, and those of the first trial, are sampled one after the
    other, where one past data set, drawn at random, expects the best value.

    Parameters
    ----------
    prior : "shipped", None, SearchPrior or ``prior_`` of a search, default="shipped"
        What past searches taught. ``"shipped"`` comes with skmeta for the class of `estimator`.
        ``SearchPrior.from_searches`` learns one from a history. None uses none.
    estimator : estimator, default=None
        What is tuned. A parameter of a trial is found by its name, as for ``set_params``, or by
        the end of that name: ``"C"`` is ``svc__C`` of a pipeline, if no other parameter is. Values
        that the trials do not set are those of the estimator.
    scoring : str, default="accuracy"
        Name of the score that the study optimises, by which a shipped prior is chosen.
    random_state : int, default=None
        Determines the trials, if they do not run in parallel.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    ValueError
        If ``prior="shipped"`` is given without an estimator, or no prior ships for it.

    See Also
    --------
    skmeta.search.SearchHistory.add : Writes the trials of a finished study into a history.

    Notes
    -----
    The sampler does not see the targets. Shipped priors of SVR and Lasso are relative to the
    standard deviation of the targets, so divide the targets by it first.

    A failed trial counts as the worst one, and so does a pruned one. The sampler is for studies
    with one objective.

    Examples
    --------
    >>> import optuna
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.svm import SVC
    >>> from skmeta.bridges.optuna import PriorSampler
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> X, y = load_iris(return_X_y=True)
    >>> def objective(trial):
    ...     C = trial.suggest_float("C", 1e-2, 1e3, log=True)
    ...     gamma = trial.suggest_float("gamma", 1e-4, 1e1, log=True)
    ...     return cross_val_score(SVC(C=C, gamma=gamma), X, y, cv=3).mean()
    >>> study = optuna.create_study(
    ...     direction="maximize", sampler=PriorSampler(estimator=SVC(), random_state=0)
    ... )
    >>> study.optimize(objective, n_trials=6)
    >>> study.best_value > 0.95
    True
    """

    def __init__(
        self,
        prior: Any = "shipped",
        *,
        estimator: Any = None,
        scoring: str = "accuracy",
        random_state: int | None = None,
    ) -> None:
        self._prior = _resolve(prior, estimator, scoring)
        self._names = _Names(estimator)
        self._seed = int(np.random.default_rng(random_state).integers(2**63))
        self._spaces = optuna.search_space.IntersectionSearchSpace()
        self._session: _Session | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}  # made again from the trials of the study

    def reseed_rng(self) -> None:
        """Draw another seed; Optuna does so before each trial of parallel ones."""
        # The session is kept: it knows which candidates are being evaluated.
        self._seed = int(np.random.default_rng().integers(2**63))

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Return the parameters that are sampled together: those that all finished trials vary."""
        with _LOCK:
            common = self._spaces.calculate(study)
        return {name: source for name, source in common.items() if not source.single()}

    def sample_relative(
        self, study: Any, trial: Any, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the values of the parameters that are sampled together."""
        if len(study.directions) > 1:
            raise ValueError(
                f"PriorSampler is for studies with one objective, got {len(study.directions)}. Use "
                "a sampler of Optuna for several."
            )
        if not search_space:
            return {}
        with _LOCK:
            if self._session is None or self._session.key != _identity(study, search_space):
                rng = np.random.default_rng([self._seed, trial.number])
                self._session = _Session(study, search_space, self._names, self._prior, rng)
            return self._session.suggest(study)

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """Return a value of one parameter, given those that the trial has already."""
        rng = np.random.default_rng([self._seed, trial.number, *param_name.encode()])
        drawn = SearchSpace({param_name: _values(param_distribution)}).sample(_N_VALUES, rng)
        values = [drawn[k][param_name] for k in rng.permutation(len(drawn))]
        if self._prior is None or not len(self._prior):
            return values[0]
        params = [{**trial.params, param_name: value} for value in values]
        configurations = self._names.configurations(params)
        known = self._names.canonical([*trial.params, param_name])
        if self._names.canonical([param_name]) <= {param_name}:
            return values[0]  # the prior does not know it
        # All parameters of a trial follow the same past data set, so that they fit together.
        trial_rng = np.random.default_rng([self._seed, trial.number])
        task = trial_rng.choice(len(self._prior), p=self._prior.task_weights)
        Z = self._prior.encode(configurations, known)
        return values[int(self._prior.surfaces_of(Z)[task].argmax())]


class _Session:
    """The strategy of one study and search space, and what it was told."""

    def __init__(
        self,
        study: Any,
        space: dict[str, Any],
        names: "_Names",
        prior: PastSurfaces | None,
        rng: np.random.Generator,
    ) -> None:
        self.key = _identity(study, space)
        self.space = SearchSpace({name: _values(source) for name, source in space.items()})
        self.names, self.rng = names, rng
        self.pool = self.space.sample(_POOL_SIZE, rng)
        self.positions = {candidate_key(params): i for i, params in enumerate(self.pool)}
        self.strategy = SearchStrategy(names.configurations(self.pool), prior, rng=rng)
        self.told: set[int] = set()
        self.best: dict[str, Any] | None = None
        self.best_score = -math.inf

    def suggest(self, study: Any) -> dict[str, Any]:
        """Take note of finished trials, and return the next candidate."""
        self._tell(study)
        if self.best is not None:
            self._add(self.space.neighbours(self.best, _N_NEAR, self.rng))
        suggestions = self.strategy.ask(1)
        if suggestions:
            return dict(self.pool[suggestions[0].index])
        # A small space is exhausted, but a study may go on.
        return dict(self.pool[int(self.rng.integers(len(self.pool)))])

    def _tell(self, study: Any) -> None:
        sign = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
        states = optuna.trial.TrialState
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self.told or not trial.state.is_finished():
                continue
            self.told.add(trial.number)
            names = self.space.names
            params = {name: trial.params[name] for name in names if name in trial.params}
            if len(params) < len(names):  # it failed before it had all of them
                continue
            value = trial.value if trial.state == states.COMPLETE else None
            score = math.nan if value is None else sign * value
            self._add([params])
            self.strategy.tell([self.positions[candidate_key(params)]], [score])
            if score > self.best_score:
                self.best, self.best_score = params, score

    def _add(self, candidates: Sequence[dict[str, Any]]) -> None:
        given = {candidate_key(params): params for params in candidates}
        fresh = {key: params for key, params in given.items() if key not in self.positions}
        self.pool.extend(fresh.values())
        added = self.strategy.extend(self.names.configurations([*fresh.values()]))
        self.positions.update(zip(fresh, added, strict=True))


class _Names:
    """Finds the canonical names of the parameters of trials."""

    def __init__(self, estimator: Any) -> None:
        self._base: dict[str, Any] = {}
        self._known: dict[str, str] = {}
        if estimator is None:
            return
        params = estimator.get_params(deep=True)
        names = canonical_names(estimator)
        self._base = {name: plain_value(params[path]) for path, name in names.items()}
        ends = {end: path for path, end in short_names(names).items()}
        self._known = {**{end: names[path] for end, path in ends.items()}, **names}

    def canonical(self, names: Sequence[str]) -> set[str]:
        """Return the canonical names of parameters; unknown ones keep their own."""
        return {self._known.get(name, name) for name in names}

    def configurations(self, trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the configurations of the parameters of trials."""
        return [
            {
                **self._base,
                **{self._known.get(name, name): plain_value(v) for name, v in params.items()},
            }
            for params in trials
        ]


def _resolve(prior: Any, estimator: Any, scoring: str) -> PastSurfaces | None:
    if prior is None or isinstance(prior, PastSurfaces):
        return prior
    if prior != "shipped":
        raise ValueError(
            f"prior must be 'shipped', None, or a prior of skmeta, got {prior!r}. "
            "SearchPrior.from_searches makes one of past searches, and SearchPrior.load reads one."
        )
    if estimator is None:
        raise ValueError(
            "prior='shipped' needs the estimator that is tuned: pass estimator=SVC(), for example."
        )
    name = predictor_name(estimator)
    shipped = load_shipped(name, scoring)
    if shipped is None:
        raise ValueError(f"No prior ships for {name}. Pass a prior, or prior=None.")
    return shipped


def _identity(study: Any, space: Mapping[str, Any]) -> tuple[Any, ...]:
    return study.study_name, tuple((name, repr(source)) for name, source in space.items())


def _values(source: Any) -> Any:
    """Return the values of a distribution of Optuna: a list, or a distribution of SciPy."""
    if isinstance(source, optuna.distributions.CategoricalDistribution):
        return list(source.choices)
    low, width = source.low, source.high - source.low
    is_whole = isinstance(source, optuna.distributions.IntDistribution)
    if width == 0:
        return [low]
    if is_whole and source.log:  # small numbers are several times in the list, as they should be
        return np.geomspace(low, source.high, _N_LISTED).round().astype(int).tolist()
    if source.step is not None:
        n = round(width / source.step) + 1
        steps = np.unique(np.linspace(0, n - 1, min(n, _N_LISTED)).round().astype(int))
        return (low + source.step * steps).tolist()
    return loguniform(low, source.high) if source.log else uniform(low, width)
