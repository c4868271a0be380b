"""HierarchicalLinear: a mixed-effects model as a meta-learner."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import PRECISIONS, Rows, Scaler, State, TaskTensors, TensorAdapter, to_numpy
from skmeta._mixed import EFFECTS, Classes, Normal, fit_groups
from skmeta._sklearn_compat import Interval, StrOptions
from skmeta._tabular import Standardiser, canonical_order
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.learners._core import (
    Algorithm,
    Context,
    MetaLearner,
    TaskSource,
    loss,
    read_settings,
    score,
    target_type_parameter,
)
from skmeta.learners.hierarchical._mixed_model import (
    condition_mixed_model,
    model_state,
    predict_classes,
    target_moments,
)
from skmeta.tasks import GroupEpisodes


class HierarchicalAlgorithm(Algorithm):
    """Estimate a mixed-effects model, and condition it on the rows of a task."""

    allow_nan: ClassVar[bool] = True

    def resolve_head(self, kind: str, names_kind: str) -> str:
        return "learned"

    # ------------------------------------------------------------------------------ the prior

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        d, c = context.network.n_features, context.n_outputs
        # Each class has a linear predictor; two share one.
        n_predictors = 1 if c == 2 and context.kind == "classification" else c
        drawn = {
            "head.weight": torch.zeros(c, d),
            "head.bias": torch.zeros(c),
            "head.factor": 0.5 * torch.eye(d + 1).repeat(n_predictors, 1, 1),
        }
        if context.kind == "regression":
            drawn["head.log_noise"] = torch.tensor(-0.5)
        return context.network.initial_weights() | drawn

    def estimate_state(
        self,
        context: Context,
        adapter: TensorAdapter,
        scaler: Scaler,
        state: State,
        source: TaskSource,
        rng: np.random.Generator,
    ) -> State:
        assert source.groups is not None
        tasks = np.unique(source.groups, return_inverse=True)[1]
        missing = np.flatnonzero(np.isnan(source.X).any(0))
        if len(missing):
            state = state | _with_indicators(state, missing, adapter.dtype)
        z = self._all_rows(context, adapter, state, source.X, tasks)
        y, n_classes = source.y, 0
        if context.kind == "classification":
            assert isinstance(source.sampler, GroupEpisodes)
            assert source.sampler.classes is not None
            y, n_classes = np.searchsorted(source.sampler.classes, source.y), context.n_outputs
        else:
            y = (source.y - scaler.y_mean) / scaler.y_scale
        content = np.column_stack([z, y])
        order = canonical_order(Standardiser.learn(content)(content), tasks[:, None])
        model = fit_groups(
            z[order.rows],
            y[order.rows],
            order.codes[:, 0],
            Classes(n_classes) if n_classes else Normal(),
            effects=self.settings.effects,
            rank=self.settings.rank,
            shrinkage=self.settings.shrinkage,
        )
        head = {f"head.{n}": v for n, v in model_state(model).items()}
        return state | {n: v.to(adapter.device, adapter.dtype) for n, v in head.items()}

    def _all_rows(
        self,
        context: Context,
        adapter: TensorAdapter,
        state: State,
        X: np.ndarray,
        tasks: np.ndarray,
    ) -> np.ndarray:
        """Return the design (n, q) of all rows in double precision."""
        x = adapter.inputs(adapter.upload(X))
        with torch.no_grad():
            features = x.new_empty(len(x), context.network.n_features)
            # Statistics of normalisations are those of a task.
            apart = tasks if context.network.has_statistics else np.zeros_like(tasks)
            for k in np.unique(apart):
                rows = torch.from_numpy(np.flatnonzero(apart == k))
                features[rows] = context.network.measure(state, torch.nan_to_num(x[rows]))[0]
            return to_numpy(_design(state, x, features).double())

    # ------------------------------------------------------------------------------ algorithm

    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        # The posterior is that of all given rows, so an earlier adaptation adds nothing.
        features, statistics = context.network.measure(state, torch.nan_to_num(support.x))
        classes = context.classes if context.kind == "classification" else None
        z = _design(state, support.x, features)
        given = condition_mixed_model(_named(state, "head."), z, support.y, support.w, classes)
        kept = {f"task.{n}": v.to(features.dtype) for n, v in given.items()}
        return dict(state) | statistics | kept

    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        z = self._query_design(context, adapted, x)
        if context.kind == "regression":
            return _moments(adapted, z)[0][:, None].to(x.dtype)
        log_p = predict_classes(_named(adapted, "task."), z, context.classes)
        return log_p.to(x.dtype)

    def _query_design(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        return _design(adapted, x, context.features(adapted, torch.nan_to_num(x)))

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        """Return minus the log predictive density or probability of the query rows, and metrics."""
        adapted, query = self.adapt(context, state, task.support), task.query
        if context.kind == "classification":
            outputs = self.forward(context, adapted, query.x)
            value = loss(context.kind, outputs, query)
        else:
            mean, variance = _moments(adapted, self._query_design(context, adapted, query.x))
            density = torch.distributions.Normal(mean, variance.sqrt(), validate_args=False)
            value = -(query.w * density.log_prob(query.y)).sum() / query.w.sum()
            outputs = mean[:, None]
        return value, {"loss": value, "score": score(context.kind, outputs, query)}

    def predict_distribution(
        self, context: Context, adapted: State, x: Tensor, levels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return means (n,), deviations (n,) and quantiles (n, p) of standardised targets."""
        mean, variance = _moments(adapted, self._query_design(context, adapted, x))
        std = variance.sqrt()
        quantiles = mean[:, None] + std[:, None] * torch.special.ndtri(levels.to(std))
        return mean.to(x.dtype), std.to(x.dtype), quantiles.to(x.dtype)


class HierarchicalLinear(MetaLearner):
    """Linear mixed-effects model: the coefficients of each task come from a learned distribution.

    The intercept and the slopes of a task are drawn from a normal distribution that all tasks
    share. Its mean (fixed effects) and covariance (of random effects) maximise the marginal
    likelihood of all rows. A new task is learned in closed form. Regressions are exact;
    classifications are logistic, with Laplace's approximation. Tasks are groups of rows: ``fit``
    needs ``groups``. The guide is :ref:`mixed-effects`.

    Parameters
    ----------
    target_type : {"auto", "classification", "regression"}, default="auto"
        What the tasks are; ``auto`` infers it from ``y`` and ``groups``. See :ref:`task-type`.
    effects : {"auto", "intercept", "slopes", "correlated"}, default="auto"
        Coefficients that differ between tasks: the intercept; also the slopes, independently; or
        both, correlated. ``"auto"``: correlated in regressions, independent in classifications.
    rank : int, default=2
        The covariance of correlated effects is a diagonal matrix plus one of this rank.
    shrinkage : float, default=1.0
        How strongly the variances of slopes are shrunken towards 0.

    Notes
    -----
    ``fit`` uses all rows of all groups and draws nothing. ``score`` draws tasks of 5 support and 15
    query rows; ``score_tasks`` takes other numbers.

    References
    ----------
    Laird and Ware (1982), Random-effects models for longitudinal data.

    Breslow and Clayton (1993), Approximate inference in generalized linear mixed models.

    Opper and Archambeau (2009), The variational Gaussian approximation revisited.

    Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using lme4.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import MetaFewShotRegressor
    >>> from skmeta.learners import HierarchicalLinear
    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat(np.arange(40), 15)
    >>> X = rng.normal(size=(600, 3))
    >>> y = X[:, 0] + rng.normal(size=40)[groups] + 0.1 * rng.normal(size=600)
    >>> prior = HierarchicalLinear().fit(X, y, groups=groups).prior_
    >>> reg = MetaFewShotRegressor(prior).fit([[0.0, 0.0, 0.0]], [5.0])
    >>> reg.predict([[1.0, 0.0, 0.0]]).round(1)
    array([6.])
    """

    target_type: str = target_type_parameter()
    effects: str = "auto"
    rank: int = 2
    shrinkage: float = 1.0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "effects": [StrOptions(set(EFFECTS))],
        "rank": [Interval(Integral, 0, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
    }

    _precisions: ClassVar[tuple[str, ...]] = tuple(PRECISIONS)

    algorithm = HierarchicalAlgorithm

    # ------------------------------------------------------------------------------ for users

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Learn the distribution of the coefficients from all rows of all groups."""
        if groups is None:
            raise EpisodeError(
                f"{type(self).__name__} learns what groups of rows have in common, but groups is "
                "None. Pass groups, one label per row, for example fit(X, y, groups=groups); for "
                "tasks drawn from classes use ProtoNet."
            )
        with warnings.catch_warnings():
            if not read_settings(self).draws_tasks:
                # Groups that are too small for an episode, or have one class, are used, too.
                warnings.simplefilter("ignore", UnusedDataWarning)
            super().fit(X, y, groups)
        return self


def _design(state: State, x: Tensor, features: Tensor) -> Tensor:
    """Return features (n, d) of rows with a leading 1, and with indicators of missing values."""
    if "head.missing" in state:
        is_missing = x.flatten(1).isnan().to(features.dtype)
        missing = is_missing.index_select(1, state["head.missing"].long())
        features = torch.cat([features, missing], 1)
    return torch.cat([torch.ones_like(features[:, :1]), features], 1)


def _with_indicators(state: State, missing: np.ndarray, dtype: torch.dtype) -> State:
    """Return a head that is wider by the indicators of columns with missing values."""
    weight, factor = state["head.weight"], state["head.factor"]
    m, q = len(missing), factor.shape[-1]
    wider = 0.5 * torch.eye(q + m).repeat(len(factor), 1, 1)
    return {
        "head.weight": torch.cat([weight, weight.new_zeros(len(weight), m)], 1),
        "head.factor": wider.to(factor),
        "head.missing": torch.tensor(missing, dtype=dtype, device=weight.device),
    }


def _named(state: State, prefix: str) -> State:
    """Return the tensors whose names have a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def _moments(adapted: State, z: Tensor) -> tuple[Tensor, Tensor]:
    return target_moments(_named(adapted, "task."), z)
