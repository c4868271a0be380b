"""InContextLearner: a transformer whose context is the support set."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.backbones import build_backbone
from skmeta.backend import PRECISIONS, Rows, Scaler, State, TaskTensors, TensorAdapter, to_numpy
from skmeta.exceptions import PriorMismatchError
from skmeta.learners._core import (
    Context,
    MetaLearner,
    Session,
    TaskSource,
    loss,
    score,
    write_prior,
)
from skmeta.learners.in_context._binned import binned_loss, binned_moments, binned_quantiles
from skmeta.learners.in_context._pooled_model import (
    combine_with_pooled,
    fit_class_model,
    fit_mixed_model,
    fit_mixture_share,
    fit_opinion_pool_weights,
    has_pooled_model,
    mix_with_pooled,
    pooled_bin_log_probability,
    pooled_class_log_probability,
    pooled_line,
    shrunken_location_and_scale,
)
from skmeta.learners.in_context._stored_names import (
    from_stored_name,
    module_parameters,
    stored_parameters,
    to_stored_name,
)
from skmeta.learners.in_context._transformer import TableTransformer
from skmeta.learners.in_context._views import (
    N_CODES,
    N_SLOTS,
    choose_views,
    location_and_scale,
)
from skmeta.priors import MetaPrior, load_table_prior
from skmeta.tasks import GroupEpisodes

_NEVER = -1e9
# Tasks by which the share of a family's distribution is chosen, to begin with.
_N_MIXTURE_TASKS = 64
_local = threading.local()


@dataclass(kw_only=True, eq=False, repr=False)
class InContextLearner(MetaLearner):
    """A transformer that reads the support set and predicts, without any training on the task.

    Meta-trained on many tables, it has learned how to learn from a table: adaptation stores the
    labelled rows as context, and one forward pass predicts. A prior meta-trained on
    :func:`~skmeta.datasets.make_table_tasks` serves tables of any width; NaN is a missing value.
    Its column encoder measures each column in the support set, so the scale of a feature does not
    matter.

    A task is seen in ``n_estimators`` views, with columns and classes in other places, and the
    predicted probabilities are averaged. The views are chosen by the contents of the table, so
    predictions do not depend on the order of rows, columns or classes. A table that is larger
    than a view (64 columns, ``max_rows`` rows) is seen in parts, another part in each view; of
    more than 10 classes, several share a code, others in each view (error-correcting output
    codes). Weights of rows are numbers of repetitions.

    For regressions it predicts a distribution: see ``return_std`` and ``predict_quantiles`` of
    :class:`~skmeta.few_shot.MetaFewShotRegressor`.

    :meth:`fit` on groups also learns what they share in absolute terms, and meta-training goes on
    from that. Targets of regressions are measured from a line through the rows of all tasks, and
    predictions are mixed with those of a random-intercept model (Laird and Ware 1982).
    Probabilities of classes are multiplied by those of a logistic regression on all rows.

    Parameters
    ----------
    n_estimators : int, default=4
        Views of a task that are averaged, at most 64; meta-training takes one.
    max_rows : int, default=500
        Support rows of a view.
    width : int, default=128
        Width of the transformer.
    n_layers : int, default=4
        Layers of the transformer.
    n_heads : int, default=4
        Heads of its attention; they divide ``width``.
    cell_width : int, default=32
        Width of an encoded cell.
    prior : MetaPrior, "tabular" or None, default=None
        Where meta-training starts: a prior of another InContextLearner of the same size, or the
        one that ships (:func:`~skmeta.priors.load_table_prior`). None draws weights.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

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
    >>> from skmeta.datasets import make_table_tasks
    >>> from skmeta.learners import InContextLearner
    >>> X, y, groups = make_table_tasks(50, 30, 4, n_classes=2, random_state=1)
    >>> learner = InContextLearner(width=16, n_layers=2, n_iterations=5, random_state=0)
    >>> learner.fit(X, y, groups=groups).prior_.kind
    'classification'
    """

    backbone: Any = "identity"
    task_type: str = "auto"
    n_estimators: int = 4
    max_rows: int = 500
    width: int = 128
    n_layers: int = 4
    n_heads: int = 4
    cell_width: int = 32
    prior: Any = None

    _parameter_constraints: ClassVar[dict] = {
        **MetaLearner._parameter_constraints,
        "task_type": [StrOptions({"auto", "classification", "regression"})],
        "n_estimators": [Interval(Integral, 1, 64, closed="both")],
        "max_rows": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "cell_width": [Interval(Integral, 2, None, closed="left")],
        "prior": [MetaPrior, StrOptions({"tabular"}), None],
    }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ------------------------------------------------------------------------------- network

    def make_network(self, kind: str) -> TableTransformer:
        """The transformer of these settings, its weights not drawn yet.

        Parameters
        ----------
        kind : {"classification", "regression"}
            What the tasks are.

        Returns
        -------
        TableTransformer
            With a slot for each of 10 classes, or a bin for each part of a target's range.
        """
        if self.width % self.n_heads:
            raise ValueError(
                f"n_heads={self.n_heads} must divide width={self.width}. Change one of them."
            )
        return TableTransformer(
            N_CODES if kind == "classification" else None,
            width=self.width,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            cell_width=self.cell_width,
            n_slots=N_SLOTS,
        )

    def table_prior(self, network: TableTransformer, kind: str, **provenance: Any) -> MetaPrior:
        """The prior of a network that was meta-trained elsewhere, for tables of any width.

        Parameters
        ----------
        network : TableTransformer
            Of the sizes of this learner.
        kind : {"classification", "regression"}
            What its tasks were.
        **provenance
            Where the weights come from.

        Returns
        -------
        MetaPrior
            Without a number of features, classes or scale of its own.
        """
        zero, one = np.zeros(()), np.ones(())
        session = Session.begin(
            self,
            build_backbone("identity", (1,)),
            (1,),
            Scaler(zero, one, zero, one),
            kind=kind,
            head=self.resolve_head(kind, "groups"),
            classes=range(1),
            device="cpu",
            precision="float32",
        )
        state = {n: p.cpu().float() for n, p in stored_parameters(network).items()}
        prior = write_prior(session, state, n_features=None, feature_names=None, **provenance)
        return prior.replace(input_shape=None)

    def _call(
        self, context: Context, state: Mapping[str, Tensor], *args: Any, **kwargs: Any
    ) -> Any:
        # Calling puts the weights into the module, so that each thread needs one of its own.
        key = (context.kind, self.width, self.n_layers, self.n_heads, self.cell_width)
        modules = _local.__dict__.setdefault("modules", {})
        if key not in modules:
            # In a thread of its own, as a vmap of this one forbids to draw weights.
            with ThreadPoolExecutor(1) as elsewhere:
                modules[key] = elsewhere.submit(self._empty_network, context.kind).result()
        dtype = PRECISIONS[self.precision]
        weights = {n: v.to(dtype) for n, v in module_parameters(state).items()}
        return torch.func.functional_call(modules[key], weights, args, kwargs)

    def _empty_network(self, kind: str) -> TableTransformer:
        with torch.device("meta"):
            return self.make_network(kind)

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        with torch.random.fork_rng(devices=[]):
            network = self.make_network(context.kind)
        network.draw(generator)
        state = context.network.initial_weights() | stored_parameters(network)
        return state if self.prior is None else self._continue(context, state)

    def _continue(self, context: Context, state: State) -> State:
        """Weights of ``prior`` in place of those drawn."""
        given: MetaPrior | str = self.prior
        prior = load_table_prior(context.kind) if isinstance(given, str) else given
        if prior.learner != type(self).__name__ or prior.kind != context.kind:
            raise PriorMismatchError(
                f"Meta-training of an {type(self).__name__} on {context.kind} tasks cannot start "
                f"from {prior!r}. Give a prior of the same learner and kind."
            )
        for name, value in state.items():
            found = prior.tensors[name].shape if name in prior.tensors else None
            if found != tuple(value.shape):
                params = prior.learner_params
                sizes = {n: params.get(n) for n in ("width", "n_layers", "n_heads", "cell_width")}
                raise PriorMismatchError(
                    f"The prior's {name!r} has shape {found}, but the learner's has "
                    f"{tuple(value.shape)}. Set {sizes} and the backbone as the prior has them."
                )
        return {n: torch.tensor(prior.tensors[n]).to(v.dtype) for n, v in state.items()}

    def begin_state(
        self,
        context: Context,
        adapter: TensorAdapter,
        scaler: Scaler,
        state: State,
        source: TaskSource,
        rng: np.random.Generator,
    ) -> State:
        sampler = source.sampler
        if not isinstance(sampler, GroupEpisodes) or len(adapter.input_shape) != 1:
            return state
        assert source.groups is not None
        table = adapter.upload(source.X)
        x = to_numpy(adapter.inputs(table).double())
        if context.kind == "classification":
            assert sampler.classes is not None
            positions = np.searchsorted(sampler.classes, source.y)
            family = fit_class_model(x, positions, context.n_outputs)
        else:
            y = (source.y - scaler.y_mean) / scaler.y_scale
            family = fit_mixed_model(x, y, source.groups)
        state = state | {n: v.to(adapter.device, adapter.dtype) for n, v in family.items()}
        tasks = adapter.tasks(table, [source.sampler.sample(rng) for _ in range(_N_MIXTURE_TASKS)])
        with torch.no_grad():
            each = (
                TaskTensors(*(Rows(*(part[k] for part in side)) for side in tasks))
                for k in range(_N_MIXTURE_TASKS)
            )
            opinions = [self._log_probabilities_of_both(context, state, task) for task in each]
        own, of_family, y, w = (torch.cat(parts) for parts in zip(*opinions, strict=True))
        if context.kind == "classification":
            powers = fit_opinion_pool_weights(*(to_numpy(v) for v in (own, of_family, y, w)))
            return state | {"family.powers": powers.to(adapter.device, adapter.dtype)}
        gain = binned_loss(own, y) - binned_loss(of_family, y)
        return state | {"family.share": fit_mixture_share(gain, w)}

    def _log_probabilities_of_both(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log probabilities of a query set by the network and by the family, targets, weights."""
        adapted, query = self._adapt(context, state, task.support, 1), task.query
        raw = self._raw(context, adapted, query.x)
        if context.kind == "classification":
            own = self._log_probabilities(context, adapted, raw)
            opinion = pooled_class_log_probability(adapted, query.x, context.classes)
            return own, opinion, query.y, query.w
        own = F.log_softmax(raw[0], 1)
        opinion = pooled_bin_log_probability(adapted).to(own.dtype).expand_as(own)
        return own, opinion, self._in_bin_units(adapted, query), query.w

    # ------------------------------------------------------------------------------- algorithm

    def adapt(
        self,
        context: Context,
        state: Mapping[str, Tensor],
        support: Rows,
        start: State | None = None,
    ) -> State:
        # The support set is all that there is to know, so an earlier adaptation adds nothing.
        return self._adapt(context, state, support, self.n_estimators)

    def _adapt(
        self, context: Context, state: Mapping[str, Tensor], support: Rows, n_estimators: int
    ) -> State:
        features, statistics = context.network.measure(state, support.x)
        n_classes = context.n_outputs if context.kind == "classification" else 0
        has_weights = any(name.startswith("body.") for name in state)
        views = choose_views(
            # By the rows as they came: views must not change as the network learns.
            support.x.flatten(1),
            support.y,
            support.w,
            n_classes,
            n_estimators,
            self.max_rows,
            n_features=features.shape[1] if has_weights else None,
        )
        x, w = _look(features[views.rows], views.columns), support.w[views.rows]
        if n_classes > N_CODES:
            # Each view has a table of its own, as it knows other classes.
            x, w = (part.expand(len(views.codes), *part.shape[1:]) for part in (x, w))
        kept: State = {"columns": views.columns, "slots": views.slots}
        if n_classes:
            # The code of each row's class, and which codes there are in each view.
            y = views.codes.gather(1, support.y[views.rows].expand(len(views.codes), -1))
            codes = torch.arange(N_CODES, device=y.device)
            present = ((y[:, :, None] == codes) & (w > 0)[:, :, None]).any(1)
            member = support.y[:, None] == torch.arange(n_classes, device=y.device)
            seen = (member & (support.w > 0)[:, None]).any(0)
            kept |= {"codes": views.codes, "present": present, "seen": seen}
        else:
            residuals = support.y - pooled_line(state, support.x)
            if has_pooled_model(state):
                location, scale = shrunken_location_and_scale(state, residuals, support.w)
            else:
                location, scale = location_and_scale(residuals, support.w)
            y = ((residuals - location) / scale)[views.rows]
            kept |= {"location": location, "scale": scale}
        memory = self._call(context, state, x, y, w, views.slots)
        kept |= {f"of.{to_stored_name(n)}": v for n, v in memory.items()}
        # Numbers of one type, since a state is stored and brought back as such.
        kept = {f"memory.{n}": v.to(features.dtype) for n, v in kept.items()}
        return dict(state) | statistics | kept

    def forward(self, context: Context, adapted: Mapping[str, Tensor], x: Tensor) -> Tensor:
        if context.kind == "classification":
            return self._class_logits(context, adapted, x)
        mean, _ = binned_moments(self._bin_log_probability(context, adapted, x).exp())
        return self._in_units(adapted, x, mean.to(x.dtype)[:, None])

    def _raw(self, context: Context, adapted: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs of each view, (e, m, outputs)."""
        features, dtype = self._features(context, adapted, x), PRECISIONS[self.precision]
        memory = {}
        # What is computed of the rows themselves stays as exact as they are.
        exact = ("column.", "expert.")
        for name, value in adapted.items():
            if name.startswith("memory.of."):
                name = from_stored_name(name.removeprefix("memory.of."))
                memory[name] = value if name.startswith(exact) else value.to(dtype)
        memory["slots"] = memory["slots"].long()
        tables = features.expand(len(memory["column.mean"]), -1, -1)
        views = _look(tables, adapted["memory.columns"].long())
        outputs: Tensor = self._call(context, adapted, views, memory=memory)
        return outputs

    def _class_logits(self, context: Context, adapted: Mapping[str, Tensor], x: Tensor) -> Tensor:
        own = self._log_probabilities(context, adapted, self._raw(context, adapted, x))
        return combine_with_pooled(adapted, x, context.classes, own)

    def _log_probabilities(
        self, context: Context, adapted: Mapping[str, Tensor], raw: Tensor
    ) -> Tensor:
        codes, present = adapted["memory.codes"].long(), adapted["memory.present"] > 0.5
        of_codes = F.log_softmax(raw.masked_fill(~present[:, None], _NEVER), 2)
        c, e = context.n_outputs, raw.shape[0]
        of_classes = of_codes.gather(2, codes[:, None, :].expand(-1, raw.shape[1], -1))
        if c <= N_CODES:
            log_p = torch.logsumexp(of_classes, 0) - math.log(e)
        else:
            # Each view tells of one digit of a class, and log c / log 10 digits make a class.
            log_p = of_classes.mean(0) * (math.log(c) / math.log(N_CODES))
        return log_p.masked_fill(adapted["memory.seen"] < 0.5, _NEVER)

    def _bin_log_probability(
        self, context: Context, adapted: Mapping[str, Tensor], x: Tensor
    ) -> Tensor:
        """Logarithms of the probabilities of the bins of query rows, (m, N_BINS)."""
        of_views = F.log_softmax(self._raw(context, adapted, x), 2)
        mean = torch.logsumexp(of_views, 0) - math.log(len(of_views))
        return mix_with_pooled(adapted, mean)

    def _in_bin_units(self, adapted: Mapping[str, Tensor], query: Rows) -> Tensor:
        """Targets of query rows, in units of the support set."""
        centred = query.y - pooled_line(adapted, query.x) - adapted["memory.location"]
        return centred / adapted["memory.scale"]

    def _in_units(self, adapted: Mapping[str, Tensor], x: Tensor, values: Tensor) -> Tensor:
        """Values (m, q) in units of the support set, in units of the targets."""
        origin = adapted["memory.location"] + pooled_line(adapted, x)
        return values * adapted["memory.scale"] + origin[:, None]

    def predict_distribution(
        self, context: Context, adapted: Mapping[str, Tensor], x: Tensor, levels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Standard deviation and quantiles of the targets of query rows.

        Parameters
        ----------
        context : Context
            The surroundings of a regression.
        adapted : mapping of str to Tensor
            What :meth:`adapt` returned.
        x : Tensor of shape (n_rows, *input_shape)
            Query rows.
        levels : Tensor of shape (n_levels,)
            Levels of the quantiles.

        Returns
        -------
        std : Tensor of shape (n_rows,)
            In units of the targets given to :meth:`adapt`, as are the quantiles.
        quantiles : Tensor of shape (n_rows, n_levels)
            The quantiles.
        """
        probability = self._bin_log_probability(context, adapted, x).exp()
        _, variance = binned_moments(probability)
        quantiles = binned_quantiles(probability, levels).to(x.dtype)
        std = variance.sqrt().to(x.dtype) * adapted["memory.scale"]
        return std, self._in_units(adapted, x, quantiles)

    def meta_loss(
        self, context: Context, state: Mapping[str, Tensor], task: TaskTensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the query set, predicted by one view of the support set.

        Parameters
        ----------
        context : Context
            The surroundings of the task.
        state : mapping of str to Tensor
            The prior.
        task : TaskTensors
            The task.

        Returns
        -------
        loss : Tensor of shape ()
            Cross-entropy, or minus the mean log density of the standardised targets.
        metrics : dict of Tensor
            ``"loss"`` and ``"score"`` (greater is better).
        """
        adapted, query = self._adapt(context, state, task.support, 1), task.query
        if context.kind == "classification":
            outputs = self._class_logits(context, adapted, query.x)
            value = loss(context.kind, outputs, query)
        else:
            bins = self._bin_log_probability(context, adapted, query.x)
            losses = binned_loss(bins, self._in_bin_units(adapted, query).to(bins.dtype))
            # The density in units of the targets, as a family's scale is learned.
            scale = torch.log(adapted["memory.scale"])
            value = (query.w * losses).sum() / query.w.sum() + scale
            mean = binned_moments(bins.exp())[0].to(query.y.dtype)
            outputs = self._in_units(adapted, query.x, mean[:, None])
        return value, {"loss": value, "score": score(context.kind, outputs, query)}

    # ------------------------------------------------------------------------------ for users

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Meta-train on the tasks in a table, from ``prior`` if there is one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows of all tasks; NaN is a missing value.
        y : array-like of shape (n_samples,)
            Class labels, or the targets of regressions.
        groups : array-like of shape (n_samples,), optional
            The task that each row belongs to. Without it, tasks are drawn as ``n_way``
            classifications over the classes of ``y``.

        Returns
        -------
        self : object
            With ``prior_`` and ``history_``.

        Raises
        ------
        EpisodeError
            If the rows cannot form the tasks asked for.
        PriorMismatchError
            If ``prior`` is of another learner, kind or size.
        """
        super().fit(X, y, groups)
        if "family.powers" not in self.prior_.tensors:
            # No class is known by its label: a task may have any.
            self.prior_ = self.prior_.replace(classes=None)
        return self


def _look(x: Tensor, columns: Tensor) -> Tensor:
    """The columns (e, k) that each view has of rows (e, m, d); e may be 1 for either."""
    e = max(len(x), len(columns))
    return x.expand(e, -1, -1).gather(2, columns[:, None, :].expand(e, x.shape[1], -1))
