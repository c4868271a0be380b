"""ANIL: MAML whose inner loop adapts the head alone."""

from __future__ import annotations

from dataclasses import dataclass

from skmeta.learners._maml import MAML


@dataclass(kw_only=True, eq=False, repr=False)
class ANIL(MAML):
    """Almost no inner loop: MAML whose tasks adapt the head alone.

    Features are computed once per task. It is faster than MAML, and often as good.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    References
    ----------
    Raghu, Raghu, Bengio and Vinyals (2020), Rapid learning or feature reuse? Towards
    understanding the effectiveness of MAML, section 4.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import ANIL
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = ANIL(n_inner_steps=5, n_iterations=20, random_state=0)
    >>> learner.fit(X, y, groups=groups).prior_.kind
    'regression'
    """

    def is_adapted(self, name: str) -> bool:
        """Whether a task adapts the tensor of this name: those of the head only."""
        return name.startswith("head.")
