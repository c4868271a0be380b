"""MAML: learn an initialisation from which a few gradient steps suffice."""

from __future__ import annotations

from dataclasses import dataclass

from skmeta.learners._gradient import GradientLearner


@dataclass(kw_only=True, eq=False, repr=False)
class MAML(GradientLearner):
    """Model-agnostic meta-learning: weights from which a few gradient steps learn a task.

    theta' = theta - inner_lr * gradient of the support loss; theta descends the query loss at
    theta', through the inner gradient (second order), or not (``first_order=True``, FOMAML).

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, algorithms 1 and 2.
    Triantafillou et al. (2020), Meta-Dataset: a dataset of datasets for learning to learn from
    few examples, section 3.1 (a head that starts from prototypes).
    Ye and Chao (2022), How to train your MAML to excel in few-shot classification, section 5
    (a head of one shared row).

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = MAML(n_shot=5, n_iterations=20, random_state=0).fit(X, y, groups=groups)
    >>> learner.prior_
    MetaPrior(MAML on mlp, regression, 1 feature, trained on 45 groups, ...)
    """
