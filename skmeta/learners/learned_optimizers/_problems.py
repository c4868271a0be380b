"""Meta-training of an optimizer on problems of a user's own: losses that are to be minimised.

Notation: theta (n,) holds all coordinates of a meta-batch of problems side by side, because steps
of the optimizer treat coordinates of all problems alike; T is the horizon, the number of steps of a
run. A problem's loss after step t is L_t, on the rows that the problem draws for this step.

Let R_t be the mean over problems of L_t / |L_0|, and A_t that of |L_t| / |L_0|. The meta-objective
is sum_t w_t R_t / A_t, where the denominators are constants: its gradient is that of log R_t, so
that late losses count as much as early ones, and runs that go badly count more than others. Half of
the weight w is on all steps, the other half on the last fifth.

The gradient goes back through theta_{t+1} = theta_t + u_t with a factor of ``DAMPING`` per step.
Without it, gradients through a hundred steps explode where a step size is close to the largest that
is stable (Metz et al. 2019, Understanding and correcting pathologies in the training of learned
optimizers, section 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import State, resolve_device, state_to_numpy
from skmeta._threads import one_thread
from skmeta._training import (
    fingerprint,
    learner_name,
    meta_train,
    read_parameters,
    settings_by_role,
)
from skmeta._validation import check_rng
from skmeta.exceptions import PriorError
from skmeta.learners.learned_optimizers._learned_update import (
    RULE,
    Memory,
    Shapes,
    initial_rule,
    rule_update,
)
from skmeta.priors import MetaPrior

# Number of steps that meta-training back-propagates through at once.
TRUNCATION = 100
DAMPING = 0.95
_SHARE_OF_TAIL = 0.5
_TAIL = 0.2
# Horizons of a training are between this share of the largest and the largest.
_SHORTEST = 0.1
# Losses below this share of the first one count less.
_SMALL_LOSS = 1e-3
_LARGEST_GRADIENT = 1.0
_RUNS_OF_VALIDATION = 4
_TINY = 1e-30

LearningCurve = dict[str, list[float]]


class ProblemBatch(NamedTuple):
    """Problems that are minimised side by side, and where they start."""

    problems: list[Any]
    starts: list[State]

    @property
    def shapes(self) -> Shapes:
        """Shapes of the tensors of each problem."""
        return tuple(tuple(v.shape for v in start.values()) for start in self.starts)

    def ravel(self) -> Tensor:
        """Return all coordinates of all problems, (n,)."""
        return torch.cat([v.reshape(-1) for start in self.starts for v in start.values()])

    def losses(self, theta: Tensor, rng: np.random.Generator) -> Tensor:
        """Compute the loss of each problem at its part of theta, (n_problems,)."""
        pieces = iter(theta.split([v.numel() for start in self.starts for v in start.values()]))
        values = []
        for problem, start in zip(self.problems, self.starts, strict=True):
            at = {name: next(pieces).reshape(v.shape) for name, v in start.items()}
            values.append(problem.loss(at, rng))
        return torch.stack(values)


def fit_problems(learner: Any, problems: Any, validation: Any) -> tuple[MetaPrior, LearningCurve]:
    """Meta-train an optimizer on problems, and return the prior and the learning curve."""
    settings, rng = read_parameters(learner), check_rng(learner.random_state)
    device = resolve_device(settings.device)
    dtype = {"float64": torch.float64}.get(settings.execution.precision, torch.float32)
    start = partial(_start, device=device, dtype=dtype)
    problems = _check_problems(problems, "problems", start)
    held_out = [] if validation is None else _check_problems(validation, "validation", start)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    state = initial_rule(settings.network, settings.n_hidden, settings.n_inner_steps, generator)
    state = _take_earlier({n: v.to(device, dtype) for n, v in state.items()}, settings.prior)
    seed = int(rng.integers(2**63))

    def objective(
        state: State, rng: np.random.Generator, progress: float
    ) -> tuple[State, dict[str, float]]:
        largest = settings.n_inner_steps
        smallest = max(1.0, _SHORTEST * largest)
        horizon = round(rng.uniform(smallest, largest))
        chosen = rng.integers(len(problems), size=settings.meta_batch_size)
        batch = start([problems[i] for i in chosen], rng)
        return meta_gradient(settings, state, batch, horizon, rng)

    def validate(state: State) -> dict[str, float]:
        rng = np.random.default_rng(seed)
        batch = start(held_out * _RUNS_OF_VALIDATION, rng)
        curve = run(settings, state, batch, settings.n_inner_steps, rng)
        return {"loss": float(curve.mean()), "score": -float(curve.mean())}

    identity = ""
    if settings.execution.checkpoint:
        identity = fingerprint(learner, [type(problem).__qualname__ for problem in problems])
    with one_thread(None):
        state, history = meta_train(
            state, objective, validate if held_out else None, settings, rng, identity=identity
        )
    prior = MetaPrior._create(
        state_to_numpy(state),
        learner=learner_name(type(learner)),
        learner_params=dict(settings_by_role(learner, "prior")),
        backbone=None,
        backbone_params={},
        kind="optimizer",
        n_features_in=None,
        provenance={"n_iterations": int(history["iteration"][-1]), "torch": torch.__version__},
    )
    return prior, {name: list(values) for name, values in history.items()}


def meta_gradient(
    settings: Any, state: State, batch: ProblemBatch, horizon: int, rng: np.random.Generator
) -> tuple[State, dict[str, float]]:
    """Return the gradient of the meta-objective, of norm 1 at most, and metrics.

    ``"loss"`` is the mean loss over the steps and the problems. Runs that diverge have gradient 0.
    """
    learned = [name for name in state if name != "horizon"]
    rule = {n: v.detach().requires_grad_(n in learned) for n, v in state.items()}
    rule["horizon"] = torch.full_like(state["horizon"], horizon)
    total, memory = {n: torch.zeros_like(state[n]) for n in state}, dict[str, Any]()
    theta, weights = batch.ravel().requires_grad_(), _weights(horizon)
    losses = batch.losses(theta, rng)
    first = losses.detach().abs() + _TINY
    objective, curve = losses.new_zeros(()), []
    for step in range(horizon):
        theta, memory = _step(settings, rule, batch, theta, losses, memory)
        losses = batch.losses(theta, rng)
        curve.append(losses.detach())
        relative = losses / first
        size = relative.detach().abs().mean() + _SMALL_LOSS
        objective = objective + weights[step] * relative.mean() / size
        is_end = step + 1 == horizon
        if is_end or (step + 1) % TRUNCATION == 0:
            leaves = [rule[n] for n in learned]
            parts = torch.autograd.grad(objective, leaves)
            for name, part in zip(learned, parts, strict=True):
                total[name] += part
            theta = theta.detach().requires_grad_()
            memory = {n: v.detach() for n, v in memory.items()}
            if not is_end:
                losses, objective = batch.losses(theta, rng), losses.new_zeros(())
    norm = torch.stack([v.norm() for v in total.values()]).norm()
    if not norm.isfinite():
        total, norm = {n: torch.zeros_like(v) for n, v in total.items()}, torch.ones_like(norm)
    factor = _LARGEST_GRADIENT / norm.clamp_min(_LARGEST_GRADIENT)
    values = torch.stack(curve)
    # If no loss is finite, this is NaN, which ends the training.
    loss = float(values[values.isfinite()].mean())
    return {n: v * factor for n, v in total.items()}, {"loss": loss, "score": -loss}


def run(
    settings: Any, state: State, batch: ProblemBatch, horizon: int, rng: np.random.Generator
) -> Tensor:
    """Take all steps without a meta-gradient, and return the losses (horizon, n_problems)."""
    rule = {n: v.detach() for n, v in state.items()}
    rule["horizon"] = torch.full_like(state["horizon"], horizon)
    theta, memory, curve = batch.ravel(), dict[str, Any](), []
    for _ in range(horizon + 1):
        theta = theta.detach().requires_grad_()
        losses = batch.losses(theta, rng)
        curve.append(losses.detach())
        theta, memory = _step(settings, rule, batch, theta, losses, memory)
        memory = {n: v.detach() for n, v in memory.items()}
    return torch.stack(curve[1:])


def _step(
    settings: Any, rule: State, batch: ProblemBatch, theta: Tensor, losses: Tensor, memory: Memory
) -> tuple[Tensor, Memory]:
    is_exact = not settings.first_order and any(v.requires_grad for v in rule.values())
    (slope,) = torch.autograd.grad(losses.sum(), theta, create_graph=is_exact, retain_graph=True)
    update, new = rule_update(rule, settings.inner_lr, theta, slope, memory, batch.shapes)
    step = memory.get("step", theta.new_zeros(()))
    damped = DAMPING * theta + (1 - DAMPING) * theta.detach()
    return damped + update, {**new, "step": step + 1}


def _weights(horizon: int) -> np.ndarray:
    """Return the weight of the loss after each step, (horizon,); they sum to 1."""
    weights = np.full(horizon, (1 - _SHARE_OF_TAIL) / horizon)
    n_tail = max(1, round(_TAIL * horizon))
    weights[-n_tail:] += _SHARE_OF_TAIL / n_tail
    return weights


def _start(
    problems: list[Any], rng: np.random.Generator, *, device: torch.device, dtype: torch.dtype
) -> ProblemBatch:
    starts = [
        {n: v.detach().to(device, dtype) for n, v in problem.init(rng).items()}
        for problem in problems
    ]
    return ProblemBatch(problems, starts)


def _take_earlier(state: State, prior: Any) -> State:
    """Start from the rule of a prior, if there is one."""
    if prior is None:
        return state
    shapes = {n: tuple(v.shape) for n, v in prior.tensors.items() if n.startswith(RULE)}
    if shapes != {n: tuple(v.shape) for n, v in state.items()}:
        raise PriorError(
            f"Meta-training cannot start from {prior!r}, which has no optimizer with these "
            "settings. Give the prior of a LearnedOptimizer with the same network and n_hidden."
        )
    learned = {n: torch.tensor(prior.tensors[n]).to(v) for n, v in state.items() if n != "horizon"}
    return state | learned


# ------------------------------------------------------------------------- problems of a user


def _check_problems(given: Any, name: str, start: Any) -> list[Any]:
    """Return a list of problems, each of which was tried once."""
    problems = list(given) if isinstance(given, Sequence) else [given]
    if not problems:
        raise ValueError(f"{name} is empty. Give at least one problem.")
    for i, problem in enumerate(problems):
        text = f"{name}[{i}], a {type(problem).__name__}," if len(problems) > 1 else name
        _check_problem(problem, text, start)
    return problems


def _check_problem(problem: Any, text: str, start: Any) -> None:
    for method, signature in (("init", "init(rng)"), ("loss", "loss(theta, rng)")):
        if not callable(getattr(problem, method, None)):
            raise TypeError(f"{text} must have a method {signature}, but it has none. Write one.")
    rng = np.random.default_rng(0)
    theta = problem.init(rng)
    if not isinstance(theta, Mapping) or not theta:
        raise TypeError(
            f"init(rng) of {text} must return a dict of tensors by name, but it returned "
            f"{type(theta).__name__}. Return at least one tensor, such as those of "
            "dict(module.named_parameters())."
        )
    for key, value in theta.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise TypeError(
                f"init(rng) of {text} must return tensors of floats, but {key!r} is "
                f"{getattr(value, 'dtype', type(value).__name__)}. Convert it with torch.tensor."
            )
    at = {n: v.requires_grad_() for n, v in start([problem], rng).starts[0].items()}
    loss = problem.loss(at, rng)
    if not isinstance(loss, Tensor) or loss.dim() or not loss.isfinite():
        returned = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) and loss.dim() else loss
        raise ValueError(
            f"loss(theta, rng) of {text} must return one finite number as a tensor of shape (), "
            f"but it returned {returned}. Return the mean loss of the rows that it draws."
        )
    if not loss.requires_grad:
        raise ValueError(
            f"loss(theta, rng) of {text} does not depend on theta. Compute it from the tensors of "
            "theta with operations of torch, without detach() or no_grad()."
        )
