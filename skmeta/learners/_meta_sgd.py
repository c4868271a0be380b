"""Meta-SGD: MAML with a learned step size for every parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from skmeta.learners._maml import MAML, MAMLAlgorithm


class MetaSGDAlgorithm(MAMLAlgorithm):
    """Take steps whose sizes are learned for each weight (equation 2)."""

    @property
    def learned(self) -> dict[str, str]:
        """The settings of the inner loop that are learned, and by which unit."""
        return {"inner_lr": "weight"} | super().learned


class MetaSGD(MAML):
    """MAML with a step size learned for every parameter, direction included.

    theta' = theta - alpha * gradient of the support loss, element by element; theta and alpha
    descend the query loss together. ``inner_lr`` is where each alpha starts. It is MAML with
    ``learn={"inner_lr": "weight"}``.

    References
    ----------
    Li, Zhou, Chen and Li (2017), Meta-SGD: learning to learn quickly for few-shot learning,
    equation 2 and algorithm 1.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MetaSGD
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = MetaSGD(n_shot=5, n_iterations=20, random_state=0).fit(X, y, groups=groups)
    >>> sorted(n for n in learner.prior_.tensors if n.startswith("inner_lr.head"))
    ['inner_lr.head.bias', 'inner_lr.head.weight']
    """

    _published: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    algorithm = MetaSGDAlgorithm
