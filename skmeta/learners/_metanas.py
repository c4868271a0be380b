"""MetaNAS: an architecture that is meta-learned together with its weights, and adapts to a task.

The search starts at the plain network (``conv4``, ``mlp``): its operations have the largest alpha.
Until the choice is made, some tasks of a meta-iteration mix the operations, and alpha learns
from them; the others train the weights of the network that is chosen so far, at its own cost.

Notation: e edges, o operations; alpha (e, o) the architecture parameters, also the logits;
``selected`` (e,) the position of the operation on each edge; s the sharpness, from 0 (soft) to 1
(decided).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from skmeta._backend import Execution, Network, Rows, State, TaskTensors, tree_map
from skmeta._sklearn_compat import Interval
from skmeta._training import parameter
from skmeta.backbones import Architecture, CellNetwork, build_backbone, describe
from skmeta.learners._core import Context, GradientLearner, InnerLoopAlgorithm, Memory, read_prior

ALPHA = "body.architecture"

# A budget is divided into at most this many units.
_MAX_UNITS = 2000

# Share of the tasks of a meta-iteration that mix operations until annealing ends. The others take
# the network that is chosen so far, which is several times faster.
_MIXED_SHARE = 0.25

# How many temperatures the operations of the plain network are ahead of others at first: their
# share is then about a half.
_AHEAD = 1.8


def select_operations(alpha: Tensor, units: Tensor, n_units: int) -> Tensor:
    """Select the operations with the largest sum of alpha within a budget of `n_units`.

    `units` (e, o) are whole costs: 0 for at least one operation on each edge, and more than
    `n_units` for one that an edge cannot have. This is a knapsack problem with one choice per edge,
    solved by dynamic programming over the remaining budget (Kellerer, Pferschy and Pisinger 2004,
    Knapsack problems, chapter 11).
    """
    budgets = torch.arange(n_units + 1, device=units.device)
    value = alpha.new_zeros(n_units + 1)
    best = []  # On each edge, by the budget for it and the edges before it.
    for row, cost in zip(alpha, units, strict=True):
        rest = budgets - cost[:, None]
        total = row[:, None] + value[rest.clamp_min(0)]
        value, choice = total.masked_fill(rest < 0, -torch.inf).max(0)
        best.append(choice)
    selected = []
    remaining = budgets[-1:]
    for choice, cost in zip(reversed(best), units.flip(0), strict=True):
        selected.append(choice.gather(0, remaining))
        remaining = remaining - cost.gather(0, selected[-1])
    return torch.cat(selected[::-1])


def raise_selected(alpha: Tensor, selected: Tensor) -> Tensor:
    """Mirror each alpha above that of the selected operation of its edge to below it.

    The selected operation is then the largest. Gradients are those of the given values.
    """
    excess = alpha - alpha.gather(1, selected[:, None])
    return alpha - 2 * excess.clamp_min(0).detach()


def anneal(
    alpha: Tensor, selected: Tensor, sharpness: float, temperature: tuple[float, float]
) -> Tensor:
    """Return the logits of the operations: divided by a temperature, and pruned to minus infinity.

    The temperature falls from the first to the last value as sharpness rises, on a logarithmic
    scale. An operation is pruned if its share is less than ``sharpness`` times the largest share on
    its edge: none at sharpness 0, all but the selected one (whose alpha is the largest) at 1.
    """
    first, last = temperature
    logits: Tensor = alpha / (first * (last / first) ** sharpness)
    if sharpness == 0:
        return logits
    kept = torch.arange(logits.shape[1], device=logits.device) == selected[:, None]
    if sharpness < 1:
        largest = logits.detach().amax(1, keepdim=True)
        kept = kept | (logits.detach() >= largest + math.log(sharpness))
    return logits.masked_fill(~kept, -torch.inf)


@dataclass(frozen=True)
class AnnealedNetwork:
    """A network of cells whose choice of operations is annealed to a given sharpness.

    `max_parameters` is the budget of the whole network, without the head.
    """

    network: Network
    cells: CellNetwork
    max_parameters: int | None
    sharpness: float
    temperature: tuple[float, float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def features(self, state: State, x: Tensor) -> Tensor:
        """Features of ``x``, normalised by the statistics in ``state``."""
        return self.network.features(self._annealed(state), x)

    def measure(self, state: State, x: Tensor) -> tuple[Tensor, State]:
        """Features of ``x``, normalised by its own statistics, and those."""
        return self.network.measure(self._annealed(state), x)

    def logits(self, alpha: Tensor) -> Tensor:
        """Return the logits (e, o) whose softmax gives the shares of the operations."""
        alpha = self.restrict(alpha)
        known = alpha.detach()
        if self.max_parameters is None:
            selected = known.argmax(1)
        else:
            units, n_units = self._units
            selected = select_operations(known, units.to(known.device), n_units)
            alpha = raise_selected(alpha, selected)
        return anneal(alpha, selected, self.sharpness, self.temperature)

    def restrict(self, alpha: Tensor) -> Tensor:
        """Set alpha to minus infinity for operations that an edge cannot have.

        They are not in the network, or exceed the budget even if all other edges have their
        cheapest one.
        """
        return alpha.masked_fill(~self._possible.to(alpha.device), -torch.inf)

    def _annealed(self, state: State) -> dict[str, Tensor]:
        return {**state, ALPHA: self.logits(state[ALPHA])}

    @cached_property
    def _extra_parameters(self) -> Tensor:
        """Parameters beyond those of the cheapest operation on each edge (e, o)."""
        return (self.cells.costs - self.cells.cheapest()[:, None]).long()

    @cached_property
    def _budget(self) -> int:
        """What the budget leaves for these."""
        fixed = self.cells.n_fixed_parameters() + int(self.cells.cheapest().sum())
        return int(self.max_parameters or 0) - fixed

    @cached_property
    def _possible(self) -> Tensor:
        allowed = self.cells.allowed.cpu()
        return (
            allowed
            if self.max_parameters is None
            else allowed & (self._extra_parameters <= self._budget)
        )

    @cached_property
    def _units(self) -> tuple[Tensor, int]:
        """Return the cost of each operation and the budget, in units of several parameters.

        Costs are exact unless exact units would be more than _MAX_UNITS.
        """
        extra = self._extra_parameters.masked_fill(~self._possible, 0)
        most = int(extra.amax(1).sum())
        # One by one: before torch 2.10, torch.func.grad does not know tolist.
        exact = math.gcd(*(int(value) for value in extra.unique()))
        unit = max(exact, -(-min(self._budget, most) // _MAX_UNITS), 1)
        units = -(-extra // unit)
        # A budget that does not bind must not do so by rounding.
        n_units = int(units.amax(1).sum()) if most <= self._budget else self._budget // unit
        return units.masked_fill(~self._possible, n_units + 1), n_units


@lru_cache(maxsize=4)
def build_chosen(network: Network, chosen: tuple[int, ...]) -> Network:
    """Build the network of an operation on each edge, by its position; weights have its names."""
    cells = cast(CellNetwork, network.cells)
    params = describe(cells, torch.zeros(cells.allowed.shape), chosen).params
    return network.with_module(build_backbone("cells", network.input_shape, params))


class MetaNASAlgorithm(InnerLoopAlgorithm):
    """Adapt weights and shares of operations, until one operation is left on each edge."""

    can_end_early: ClassVar[bool] = False
    # Of the softmax over operations, at first and when the choice is made.
    temperature: ClassVar[tuple[float, float]] = (0.1, 0.01)
    # Shares of the meta-training at which annealing begins and ends. All operations are mixed
    # before it; one is left on each edge after it.
    annealing: ClassVar[tuple[float, float]] = (0.08, 0.12)

    def mean_gradient(
        self, context: Context, state: State, tasks: TaskTensors, execution: Execution
    ) -> tuple[State, State]:
        """Return the mean over tasks, of which some mix operations until annealing ends."""
        if self.settings.architecture_lr > 0:  # Each task makes its own choice.
            return super().mean_gradient(context, state, tasks, execution)
        n, n_mixed = len(tasks.query.y), 0
        if context.progress < self.annealing[1]:
            n_mixed = math.ceil(_MIXED_SHARE * n)
        chosen, names = self._chosen(context, state[ALPHA])
        own = {n: v for n, v in state.items() if n in names}
        gradient = {n: torch.zeros_like(v) for n, v in state.items()}
        metrics: State = {}
        for at, known, start, stop in ((context, state, 0, n_mixed), (chosen, own, n_mixed, n)):
            if start < stop:
                some = tree_map(lambda x, start=start, stop=stop: x[start:stop], tasks)
                mean, measured = super().mean_gradient(at, known, some, execution)
                share = (stop - start) / n
                gradient |= {name: gradient[name] + share * g for name, g in mean.items()}
                metrics = {name: metrics.get(name, 0) + share * v for name, v in measured.items()}
        return gradient, metrics

    def recording_key(self, context: Context) -> Hashable:
        if not type(self).__module__.startswith("skmeta."):
            return None  # A subclass may depend on anything.
        return context.network if context.network.cells is None else None

    def _chosen(self, context: Context, alpha: Tensor) -> tuple[Context, frozenset[str]]:
        """Return the context of the network that is chosen so far, and the names of its state."""
        at = self._annealed_network(replace(context, progress=1.0), self.settings.n_inner_steps)
        chosen = tuple(at.logits(alpha.detach()).argmax(1).tolist())
        network = build_chosen(context.network, chosen)
        names = {*network.initial_weights(), "head.weight", "head.bias"}
        return replace(context, network=network), frozenset(names)

    def skips_zero_gradient(self, state: State) -> bool:
        return False  # The choice becomes sharper without a gradient, too.

    def architecture(self, context: Context, adapted: State) -> Architecture:
        """Describe the operation on each edge, of an adapted state or a prior."""
        network = self._annealed_network(context, self.settings.n_inner_steps)
        chosen = network.logits(adapted[ALPHA]).argmax(1).tolist()
        first = self.temperature[0]
        return describe(network.cells, network.restrict(adapted[ALPHA]) / first, chosen)

    def task_attributes(self, context: Context, adapted: State) -> dict[str, Architecture]:
        """Return ``architecture_``, which an estimator that learned a task shows."""
        return {"architecture_": self.architecture(context, adapted)}

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        max_parameters = self.settings.max_parameters
        if context.network.cells is None:
            given = self.settings.backbone
            what = repr(given) if isinstance(given, str) else f"an {type(given).__name__}"
            raise ValueError(
                f"MetaNAS chooses the operations of cells, but backbone is {what}, which has none "
                "to choose. Use backbone='cells'."
            )
        cells = context.network.cells
        least = cells.n_fixed_parameters() + int(cells.cheapest().sum())
        if max_parameters is not None and max_parameters < least:
            raise ValueError(
                f"max_parameters={max_parameters}, but the smallest of these networks has {least} "
                "parameters. Raise it, or lower the width in backbone_params."
            )
        state = super().init_state(context, generator)
        ahead = torch.zeros_like(state[ALPHA])
        ahead[range(len(ahead)), cells.plain()] = _AHEAD * self.temperature[0]
        return state | {ALPHA: state[ALPHA] + ahead}

    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        n_steps = self.settings.n_inner_steps
        point = self._start_point(self._annealed(context, 0), state, support, start)
        for step in range(n_steps):
            point = self._take_step(self._annealed(context, step), state, point, support)
        return self._final_state(self._annealed(context, n_steps), state, point, support)

    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        return super().forward(self._annealed(context, self.settings.n_inner_steps), adapted, x)

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """One inner step of weights and architecture (Elsken et al. 2020, equation 3)."""
        rates, inner_lr = {ALPHA: self.settings.architecture_lr}, self.settings.inner_lr
        return {n: v - rates.get(n, inner_lr) * gradient[n] for n, v in fast.items()}, memory

    def _annealed(self, context: Context, step: int) -> Context:
        if context.network.cells is None:
            return context  # There is nothing to choose any more.
        return replace(context, network=cast(Network, self._annealed_network(context, step)))

    def _annealed_network(self, context: Context, step: int) -> AnnealedNetwork:
        """Return the network of an inner step; after the last one, its choice is decided."""
        settings, cells = self.settings, cast(CellNetwork, context.network.cells)
        begin, end = self.annealing
        done = 1.0 if context.progress >= end else (context.progress - begin) / (end - begin)
        sharpness = max(done, 0.0)
        if settings.architecture_lr > 0:  # Each task decides anew.
            sharpness *= (step + 1) / (settings.n_inner_steps + 1)
        return AnnealedNetwork(
            context.network, cells, settings.max_parameters, sharpness, self.temperature
        )


class MetaNAS(GradientLearner):
    """Meta-learning of an architecture and its weights.

    Each edge of the network mixes several operations (convolutions, pooling, skip, none; for tables
    linear, gated and residual layers); their shares are the softmax of architecture parameters
    alpha, which descend the query losses of tasks until one operation is left on each edge. The
    search starts at the plain network, ``conv4`` or ``mlp``. What it found is ``architecture_``,
    which any learner takes: ``MAML(backbone=learner.architecture_)``.

    It is research: with equal seconds and parameters it was not ahead of MAML on ``conv4``, where
    its search starts. The guide is :doc:`/methods/metanas`.

    Parameters
    ----------
    architecture_lr : float, default=0.0
        Step size of the inner loop for the architecture parameters. If it is positive, each task
        adapts its own architecture, and all tasks mix operations in their first steps.
    max_parameters : int or None, default=None
        Largest number of parameters of the chosen network, without the head.

    References
    ----------
    Elsken, Staffler, Metzen and Hutter (2020), Meta-learning of neural architectures for few-shot
    learning, algorithms 1 and 2, section 4 (soft pruning).
    Liu, Simonyan and Yang (2019), DARTS: differentiable architecture search, section 2.2.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MetaNAS
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = MetaNAS(n_iterations=20, random_state=0).fit(X, y, groups=groups)
    >>> [edge.operation for edge in learner.architecture_.edges]
    ['none', 'linear', 'none']
    """

    backbone: Any = "cells"
    first_order: bool = True
    architecture_lr: float = parameter(0.0, Interval(Real, 0, None, closed="left"))
    max_parameters: int | None = parameter(None, Interval(Integral, 1, None, closed="left"), None)

    algorithm = MetaNASAlgorithm

    @property
    def architecture_(self) -> Architecture:
        """The architecture that a task starts from."""
        session, state = read_prior(
            self.prior_, type(self), classes=[0], device="cpu", precision="float64"
        )
        return cast(MetaNASAlgorithm, session.algorithm).architecture(session.context, state)
