"""MAML: learn an initialisation from which a few gradient steps suffice."""

from __future__ import annotations

from dataclasses import dataclass

from skmeta.learners._gradient import GradientLearner


@dataclass(kw_only=True, eq=False, repr=False)
class MAML(GradientLearner):
    """Model-agnostic meta-learning."""
