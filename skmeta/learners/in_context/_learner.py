"""InContextLearner: a transformer whose context is the support set."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import PRECISIONS, Rows, Scaler, State, TaskTensors, call_numpy
from skmeta._sklearn_compat import Interval, StrOptions
from skmeta._tabular.table_prior import (
    N_CODES,
    N_HEADS,
    N_SLOTS,
    binned_moments,
    binned_quantiles,
    mix_bins,
    mix_classes,
)
from skmeta._training import settings_by_role
from skmeta.learners._core import (
    Algorithm,
    Context,
    OuterLoopLearner,
    loss,
    make_prior,
    score,
    target_type_parameter,
)
from skmeta.learners.in_context._binned import binned_loss
from skmeta.learners.in_context._support import (
    ViewedTask,
    module_parameters,
    stored_parameters,
    view_task,
    weights_of_prior,
)
from skmeta.learners.in_context._transformer import TableTransformer, call_transformer
from skmeta.priors import MetaPrior

# Prefix of the support set in an adapted state.
_SUPPORT = "support."
# Parameters that are sizes of the transformer.
_SIZES = ("width", "n_layers")


class InContextAlgorithm(Algorithm):
    """Read the support set as context of a transformer."""

    allow_nan: ClassVar[bool] = True
    takes_other_classes: ClassVar[bool] = True
    # Its network has no features of its own, and its scale is that of each table.
    loads_prior: ClassVar[bool] = True
    # The support set holds all rows, so an earlier adaptation adds nothing.
    adapts_anew: ClassVar[bool] = True

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        with torch.random.fork_rng(devices=[]):
            network = self.settings.make_network(context.kind)
        network.draw(generator)
        state = context.network.initial_weights() | stored_parameters(network)
        if self.settings.prior is None:
            return state
        prior = (
            self.settings.prior
            if isinstance(self.settings.prior, MetaPrior)
            else MetaPrior.load_shipped(context.kind)
        )
        return weights_of_prior(
            prior, type(self.settings).__name__, context.kind, self.settings.sizes(), state
        )

    # ------------------------------------------------------------------------------- algorithm

    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        kept = {f"{_SUPPORT}{name}": value for name, value in support._asdict().items()}
        return dict(state) | kept

    def is_sound(self, name: str, value: Tensor) -> bool:
        # Values of the support set may be missing.
        return name.startswith(_SUPPORT) or super().is_sound(name, value)

    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        viewed, log_p = self._read(context, adapted, x)
        return log_p if context.kind == "classification" else _mean(viewed, log_p)[:, None]

    def predict_distribution(
        self, context: Context, adapted: State, x: Tensor, levels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return means (n,), deviations (n,) and quantiles (n, p) of standardised targets."""
        viewed, log_p = self._read(context, adapted, x)
        (quantiles,) = call_numpy(lambda p, at: (binned_quantiles(p, at),), log_p.exp(), levels)
        variance = binned_moments(log_p.exp())[1].to(viewed.scale.dtype)
        quantiles = quantiles.to(viewed.scale.dtype) * viewed.scale + viewed.location
        return _mean(viewed, log_p), variance.sqrt() * viewed.scale, quantiles

    def _read(self, context: Context, adapted: State, x: Tensor) -> tuple[ViewedTask, Tensor]:
        support = Rows(*(adapted[f"{_SUPPORT}{name}"] for name in Rows._fields))
        return self.read(context, adapted, support, x, self.settings.n_views)

    def read(
        self, context: Context, state: State, support: Rows, x: Tensor, n_views: int | str
    ) -> tuple[ViewedTask, Tensor]:
        """Return a task's views, and log probabilities (m, c) of classes or (m, o) of bins."""
        is_classification = context.kind == "classification"
        n_classes = context.n_outputs if is_classification else 0
        viewed = view_task(support, x, n_classes, n_views, self.settings.max_rows)
        key = context.kind, *self.settings.sizes().values()
        weights = {n: v.to(context.dtype) for n, v in module_parameters(state).items()}
        make = partial(self.settings.make_network, context.kind)
        outputs = call_transformer(make, key, weights, *viewed[:5])
        if not is_classification:
            return viewed, mix_bins(outputs, viewed.is_constant)
        is_wide = x[0].numel() > N_SLOTS
        return viewed, mix_classes(outputs, viewed.codes, viewed.present, viewed.seen, is_wide)

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        # The query set is predicted by one view of the support set.
        query = task.query
        viewed, log_p = self.read(context, state, task.support, query.x, 1)
        if context.kind == "classification":
            predicted, value = log_p, loss(context.kind, log_p, query)
        else:
            target = (query.y - viewed.location) / viewed.scale
            # The density in units of the targets, which are the same in all tasks.
            losses = binned_loss(log_p, target.to(log_p.dtype)) + torch.log(viewed.scale)
            value = (query.w * losses).sum() / query.w.sum()
            predicted = _mean(viewed, log_p)[:, None]
        return value, {"loss": value, "score": score(context.kind, predicted, query)}


def _mean(viewed: ViewedTask, log_p: Tensor) -> Tensor:
    """Return the means (m,) of distributions in units of the targets."""
    mean: Tensor = binned_moments(log_p.exp())[0]
    return viewed.location + viewed.scale * mean.to(viewed.scale.dtype)


class InContextLearner(OuterLoopLearner):
    """A transformer whose context is the support set, without any training on the task.

    Meta-training on many tables teaches it to learn from a table. Adaptation stores the labelled
    rows as context, and one forward pass predicts. The prior that ships takes tables of any width,
    and NaN is a missing value. Regressions predict distributions. The guide is
    :doc:`/small_tables`; :ref:`in-context-views` says how large tables and many classes are read.

    Parameters
    ----------
    target_type : {"auto", "classification", "regression"}, default="auto"
        What the tasks are; ``auto`` infers it from ``y`` and ``groups``. See :ref:`task-type`.
    n_views : int or "auto", default="auto"
        Number of views that predictions average, at most 64. See :ref:`in-context-views`.
    max_rows : int, default=1000
        Largest number of support rows of a view.
    width : int, default=128
        Width of the transformer, a multiple of 8; an encoded cell has a quarter of it.
    n_layers : int, default=4
        Layers of the transformer.
    prior : MetaPrior, "tabular" or None, default=None
        Where meta-training starts: a prior of another InContextLearner of the same size, or the
        prior that ships (:meth:`~skmeta.priors.MetaPrior.load_shipped`). None draws random weights.

    References
    ----------
    Mueller, Hollmann, Pineda Arango, Grabocka and Hutter (2022), Transformers can do Bayesian
    inference.

    Hollmann, Mueller, Eggensperger and Hutter (2023), TabPFN: a transformer that solves small
    tabular classification problems in a second.

    Laird and Ware (1982), Random-effects models for longitudinal data.

    Dietterich and Bakiri (1995), Solving multiclass learning problems via error-correcting output
    codes.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.learners import InContextLearner
    >>> rng = np.random.default_rng(0)
    >>> X, groups = rng.normal(size=(1500, 4)), np.repeat(range(50), 30)
    >>> y = ((X * rng.normal(size=(50, 4))[groups]).sum(1) > 0).astype(int)
    >>> learner = InContextLearner(
    ...     width=16, n_layers=2, n_shot=(3, 20), n_iterations=5, random_state=0
    ... )
    >>> learner.fit(X, y, groups=groups).prior_.kind
    'classification'
    """

    target_type: str = target_type_parameter()
    n_views: int | str = "auto"
    max_rows: int = 1000
    width: int = 128
    n_layers: int = 4
    prior: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_views": [Interval(Integral, 1, 64, closed="both"), StrOptions({"auto"})],
        "max_rows": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "prior": [MetaPrior, StrOptions({"tabular"}), None],
    }

    _precisions: ClassVar[tuple[str, ...]] = tuple(PRECISIONS)

    algorithm = InContextAlgorithm

    def make_network(self, kind: str) -> TableTransformer:
        """Build the transformer of these settings, without drawing its weights."""
        if self.width % (2 * N_HEADS):
            raise ValueError(f"width must be a multiple of {2 * N_HEADS}, got {self.width}.")
        n_labels = N_CODES if kind == "classification" else None
        return TableTransformer(n_labels, **self.sizes(), n_slots=N_SLOTS)

    def sizes(self) -> dict[str, int]:
        """Return the parameters that are sizes of the transformer."""
        return {name: getattr(self, name) for name in _SIZES}

    def table_prior(self, network: TableTransformer, kind: str, **provenance: Any) -> MetaPrior:
        """Make a prior of a network that was meta-trained elsewhere, for tables of any width."""
        zero, one = np.zeros(()), np.ones(())
        return make_prior(
            self,
            Scaler(zero, one, zero, one),
            {n: p.cpu().float() for n, p in stored_parameters(network).items()},
            provenance=provenance,
            learner_params=dict(settings_by_role(self, "prior")),
            backbone="identity",
            backbone_params={},
            kind=kind,
            n_features_in=None,
        )

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Meta-train on the tasks in a table, from ``prior`` if there is one; NaN is missing."""
        super().fit(X, y, groups)
        # A task may have any classes.
        self.prior_ = self.prior_.replace(classes=None)
        return self
