"""A learned optimizer with the interface of torch's optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import State, state_to_torch
from skmeta._validation import check_count
from skmeta.exceptions import PriorError
from skmeta.learners.learned_optimizers._learned_update import RULE, learned_step
from skmeta.priors import MetaPrior


class PriorOptimizer(torch.optim.Optimizer):
    """A ``torch.optim.Optimizer`` whose steps were learned.

    It can replace ``torch.optim.Adam`` in any training loop. Its steps are safeguarded: see the
    notes of :class:`~skmeta.learners.LearnedOptimizer`. The rule that depends on the loss needs a
    closure, or ``step(loss=loss)``.

    Parameters
    ----------
    params : iterable of Tensor or dict
        Parameters, or groups of them, as torch's optimizers take them.
    prior : MetaPrior
        ``prior_`` of a fitted :class:`~skmeta.learners.LearnedOptimizer`, or one loaded from a
        file.
    lr : float, optional
        What the network's outputs are multiplied by; by default ``inner_lr`` of the
        meta-training. Schedulers of torch change it.
    n_inner_steps : int, optional
        How many steps you will take. The step size is learned for each time of a run; by default,
        a run is as long as the longest of the meta-training.

    Raises
    ------
    PriorError
        If the prior was not learned by a LearnedOptimizer.
    ValueError
        If ``lr`` or ``n_inner_steps`` is not positive.

    Examples
    --------
    >>> import torch
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import LearnedOptimizer, PriorOptimizer
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = LearnedOptimizer(n_iterations=2, validation=0, random_state=0)
    >>> prior = learner.fit(X, y, groups=groups).prior_
    >>> weight = torch.ones(2, requires_grad=True)
    >>> optimizer = PriorOptimizer([weight], prior)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     loss = (weight**2).sum()
    ...     loss.backward()
    ...     _ = optimizer.step(loss=loss)
    """

    def __init__(
        self,
        params: Iterable[Any],
        prior: MetaPrior,
        *,
        lr: float | None = None,
        n_inner_steps: int | None = None,
    ) -> None:
        if not isinstance(prior, MetaPrior):
            raise TypeError(
                f"prior must be a MetaPrior, got {type(prior).__name__}. Pass the parameters "
                "first, then prior_ of a fitted LearnedOptimizer."
            )
        if prior.learner != "LearnedOptimizer":
            raise PriorError(
                f"An optimizer needs a prior learned by LearnedOptimizer, but {prior!r} was "
                f"learned by {prior.learner}."
            )
        lr = float(prior.learner_params["inner_lr"] if lr is None else lr)
        if not lr > 0:
            raise ValueError(f"lr must be positive, got {lr}. Leave it out to take the prior's.")
        self._rule = {n: v for n, v in prior.tensors.items() if n.startswith(RULE)}
        if n_inner_steps is not None:
            n_inner_steps = check_count(n_inner_steps, "n_inner_steps")
            self._rule["horizon"] = np.full_like(self._rule["horizon"], n_inner_steps)
        self._on_device: dict[tuple[torch.device, torch.dtype], State] = {}
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, loss: Any = None) -> Any:
        """Change the parameters by their gradients.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew, and returns the loss.
        loss : Tensor or float, optional
            The loss that the gradients belong to, if there is no closure.

        Returns
        -------
        Tensor, float or None
            The loss, if it is known.
        """
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group, loss)
        return loss

    def _step_group(self, group: dict[str, Any], loss: Any) -> None:
        moved = {str(i): p for i, p in enumerate(group["params"]) if p.grad is not None}
        if not moved:
            return
        tensors = {str(i): p for i, p in enumerate(group["params"])}
        gradient = {
            n: p.grad if p.grad is not None else torch.zeros_like(p) for n, p in tensors.items()
        }
        like = next(iter(moved.values()))
        value = None if loss is None else torch.as_tensor(loss).detach().to(like)
        new, group["memory"] = learned_step(
            self._rule_like(like), group["lr"], tensors, gradient, group.get("memory", {}), value
        )
        for name, parameter in moved.items():
            parameter.copy_(new[name])

    def _rule_like(self, tensor: Tensor) -> State:
        key = tensor.device, tensor.dtype
        if key not in self._on_device:
            self._on_device[key] = state_to_torch(self._rule, *key)
        return self._on_device[key]
