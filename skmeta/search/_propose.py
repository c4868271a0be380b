"""Which candidates a search tries next."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skmeta.search._arguments import Arguments, Search
from skmeta.search._trials import Trial
from skmeta.search.prior import PastSurfaces
from skmeta.search.space import Candidate, CandidateDescriber, SearchSpace, relative_configuration
from skmeta.search.surrogate import SearchStrategy

# A finite space up to this size is in the pool as a whole. From others, about _DRAWN_POOL
# candidates are drawn at the start.
_WHOLE_POOL = 2000
_DRAWN_POOL = 1000
# Number of candidates near the best one so far that are added to the pool if there is a new best
# one, or after this many batches. Much of their cost does not depend on their number.
_N_NEAR = 30
_NEAR_EVERY = 3
# A search without a prior begins with the first of the drawn candidates only, until this many have
# been proposed, and adds none near the best one before this many have a score. Its model is not yet
# good enough to tell near candidates apart. Chosen on sets that
# benchmarks/measure/search_day_one.py does not report.
_FIRST_POOL, _N_WITH_FIRST_POOL = 200, 50
_FIRST_NEAR = 10
# With a prior, each of these rounds adds this many candidates to the pool: crosses of those that
# are expected to be best. Chosen by first candidates on tables of 10,000 rows.
_N_ROUNDS, _N_CHILDREN, _N_PARENTS = 4, 100, 10
_SHARE_OF_ANY = 0.3  # of crosses whose second parent is any candidate
# Types of values that can be combined with those of other parameters. Not all combinations of texts
# and parts are valid.
_CROSSED = (bool, int, float, tuple, np.number, type(None))

# Source of the candidate that leaves the estimator as it is.
AS_GIVEN = "as given"
# Its place at the latest. Where the past knows tables of this size, it comes when it is the most
# promising candidate, and else second: what the past says of it is a guess then.
_GIVEN_AT, _GIVEN_AT_IF_UNKNOWN = 5, 2


def draw_near(
    space: SearchSpace, given: Candidate | None, n: int, rng: np.random.Generator
) -> list[Candidate]:
    """Draw about `n` candidates; half of them take half of their values from the one as given."""
    if given is None:
        return space.sample(n, rng)
    drawn = space.sample(n // 2, rng)
    return [*drawn, *(_cross(given, one, rng) for one in drawn)]


def cross_best(
    candidates: Sequence[Candidate], utility: Any, rng: np.random.Generator
) -> list[Candidate]:
    """Return crosses of the best candidates with each other and any, equally many by estimator."""
    rows_by_kind: dict[frozenset[str], list[int]] = {}
    for row, one in enumerate(candidates):
        rows_by_kind.setdefault(frozenset(one), []).append(row)
    children: list[Candidate] = []
    n = _N_CHILDREN // len(rows_by_kind)
    for rows in map(np.array, rows_by_kind.values()):
        best = rows[np.argsort(-np.asarray(utility)[rows], kind="stable")[:_N_PARENTS]]
        first, second = rng.choice(best, (2, n))
        second = np.where(rng.random(n) < _SHARE_OF_ANY, rng.choice(rows, n), second)
        pairs = zip(first, second, strict=True)
        children += [_cross(candidates[i], candidates[j], rng) for i, j in pairs]
    return children


def add_crosses(
    pool: Sequence[Candidate],
    utility: Callable[[], Any],
    add: Callable[[list[Candidate]], None],
    rng: np.random.Generator,
    n_rounds: int = _N_ROUNDS,
) -> None:
    """Add crosses to a pool in rounds, each by the utility of the candidates so far."""
    for _ in range(n_rounds):
        add(cross_best(pool, utility(), rng))


def _cross(one: Candidate, other: Candidate, rng: np.random.Generator) -> Candidate:
    """Return a candidate that has about half of its values from each of two."""
    is_kept = rng.random(len(other)) < 0.5
    if one.keys() != other.keys():
        return other
    kept = {
        name: one[name]
        for name, keep in zip(other, is_kept, strict=True)
        if keep and isinstance(one[name], _CROSSED) and isinstance(other[name], _CROSSED)
    }
    return {**other, **kept}


class GridProposer:
    """Proposes the whole of a finite space as one batch, in GridSearchCV's order."""

    def __init__(self, space: SearchSpace) -> None:
        trials = [Trial(params, space.key(params), "grid") for params in space.grid()]
        # Equal candidates are evaluated once.
        distinct = {trial.key: trial for trial in reversed(trials)}
        self._trials = [distinct[trial.key] for trial in trials]

    def ask(self, n: int) -> list[Trial]:
        """Return all candidates."""
        return self._trials

    def tell(self, trials: Sequence[Trial]) -> None:
        """Do nothing, since the order is fixed."""

    def sync(self, pending: Sequence[Trial], n_proposed: int) -> None:
        """Do nothing, since the order is fixed."""

    def report(self) -> dict[str, Any]:
        """Return an empty report, since no past search is used."""
        return {}


class ModelProposer:
    """Proposes the candidates that a surrogate model of the scores finds most promising.

    The same seed, prior and scores give the same candidates. The estimator as given is a candidate
    like others with a prior of tables that have as many rows or more, and among the first five (of
    `n_iter`). Else it is the second, or the first.
    """

    def __init__(
        self,
        search: Search,
        arguments: Arguments,
        prior: PastSurfaces | None,
        seed: int,
        n_rows: int,
    ) -> None:
        self._describer = CandidateDescriber(arguments.estimator)
        self._space = space = arguments.space
        self._rng = np.random.default_rng(seed)
        self._batch_size = search.batch_size
        self._is_timed = search.time_budget is not None
        self._target_scale = arguments.target_scale
        self._is_whole = space.size <= _WHOLE_POOL
        self._knows_past = prior is not None and len(prior) > 0
        given = arguments.as_given
        n_pool = _WHOLE_POOL if self._is_whole else _DRAWN_POOL
        near = given if self._knows_past and not self._is_whole else None
        pool, given_at = draw_near(space, near, n_pool, self._rng), None
        if given is not None and self._knows_past and space.is_complete(given):
            pool, given_at = [given, *pool], 0
        past_rows = -np.inf if prior is None else prior.max_log_rows
        is_known = given_at is not None and np.log(n_rows) <= past_rows
        latest = _GIVEN_AT if is_known else _GIVEN_AT_IF_UNKNOWN
        self._latest = min(latest, max(arguments.n_iter, _GIVEN_AT_IF_UNKNOWN))
        by_key = {space.key(params): params for params in pool}
        self._pool = list(by_key.values())
        self._later: list[Candidate] = []  # drawn, and not in the pool yet
        if not (self._is_whole or self._knows_past):
            self._later, self._pool = self._pool[_FIRST_POOL:], self._pool[:_FIRST_POOL]
        self._indices = dict(zip(by_key, range(len(self._pool)), strict=False))
        described = self._describe(self._pool)
        self._strategy = SearchStrategy(described, prior, rng=self._rng, given=given_at)
        self._as_given = None if given is None else Trial(given, space.key(given), AS_GIVEN)
        self._as_given_untold = self._as_given
        if not self._is_whole and self._strategy.expected_utility() is not None:
            add_crosses(self._pool, self._strategy.expected_utility, self._add, self._rng)
        self._start = [Trial(one, space.key(one), "start") for one in arguments.start]
        self._start = list({trial.key: trial for trial in self._start}.values())
        self._n_asked = self._n_told = 0
        self._best: Candidate | None = None
        self._near_to: Candidate | None = None
        self._n_without_near = 0
        self._best_score = -np.inf

    def ask(self, n: int) -> list[Trial]:
        """Return the next batch."""
        n = min(self._batch_size, n)
        if self._start:
            trials, self._start = self._start[:n], self._start[n:]
            self._n_asked += len(trials)
            return trials
        self._add_neighbours()
        if self._later and self._n_asked + n > _N_WITH_FIRST_POOL:
            self._add(self._later)
            self._later = []
        given = self._as_given if self._n_asked + n >= self._latest else None
        trials = self._suggest(n if given is None else n - 1)
        keys = {trial.key for trial in trials}
        if self._as_given is not None and self._as_given.key in keys:
            self._as_given = None
            trials += self._suggest(n - len(trials))
        elif given is not None:
            self._as_given = None
            trials.insert(max(0, self._latest - 1 - self._n_asked), given)
        self._n_asked += len(trials)
        return trials

    def _suggest(self, n: int) -> list[Trial]:
        suggestions = self._strategy.ask(n) if n else []
        pool, key = self._pool, self._space.key
        trials = [
            Trial(pool[s.index], key(pool[s.index]), s.source, s.mean, s.std) for s in suggestions
        ]
        for trial in trials:
            if self._as_given is not None and trial.key == self._as_given.key:
                trial.source = AS_GIVEN
        return trials

    def tell(self, trials: Sequence[Trial]) -> None:
        """Pass scores on to the model. Candidates from elsewhere are added to the pool."""
        known = {trial.key for trial in trials}
        self._start = [trial for trial in self._start if trial.key not in known]
        # The model cannot learn from candidates that do not list all of their parameters.
        modelled = [trial for trial in trials if self._space.is_complete(trial.params)]
        self._n_told += len(trials)
        self._add([trial.params for trial in modelled])
        # The model is not given the uncertainty of the scores of stopped candidates: searches
        # with it found slightly worse candidates.
        seconds = [np.mean(trial.seconds) for trial in modelled] if self._is_timed else None
        self._strategy.tell(
            [self._indices[trial.key] for trial in modelled],
            np.array([trial.score for trial in modelled]),
            seconds=None if seconds is None else np.array(seconds),
        )
        given = self._as_given_untold
        if given is not None and given.key in known:
            self._as_given = self._as_given_untold = None  # it was on record
        for trial in modelled:
            if trial.score > self._best_score:
                self._best_score, self._best = trial.score, trial.params

    def sync(self, pending: Sequence[Trial], n_proposed: int) -> None:
        """Replace pending candidates by those of other workers; `n_proposed` are all so far."""
        modelled = [trial for trial in pending if self._space.is_complete(trial.params)]
        self._add([trial.params for trial in modelled])
        indices = [self._indices[trial.key] for trial in modelled]
        self._strategy.set_pending(indices)
        self._n_asked = n_proposed
        known = {trial.key for trial in pending}
        self._start = [trial for trial in self._start if trial.key not in known]
        given = self._as_given_untold
        self._as_given = None if given is not None and given.key in known else given

    def report(self) -> dict[str, Any]:
        """Return the weights of past searches and of the models."""
        return self._strategy.report()

    def _add_neighbours(self) -> None:
        if self._is_whole or self._best is None:
            return
        if not self._knows_past and self._n_told < _FIRST_NEAR:
            return
        if self._best is self._near_to and self._n_without_near < _NEAR_EVERY - 1:
            self._n_without_near += 1
            return
        self._near_to, self._n_without_near = self._best, 0
        self._add(self._space.neighbours(self._best, _N_NEAR, self._rng))

    def _add(self, candidates: Sequence[Candidate]) -> None:
        fresh: list[Candidate] = []
        for params in candidates:
            key = self._space.key(params)
            if key not in self._indices:
                self._indices[key] = len(self._pool) + len(fresh)
                fresh.append(params)
        if fresh:
            self._pool.extend(fresh)
            self._strategy.extend(self._describe(fresh))

    def _describe(self, candidates: Sequence[Candidate]) -> list[Any]:
        described = self._describer(candidates)
        return [relative_configuration(one, self._target_scale) for one in described]


Proposer = GridProposer | ModelProposer
