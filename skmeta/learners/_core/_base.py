"""The base classes of the meta-learners: parameters, fit and score around an algorithm."""

from __future__ import annotations

import copy
from inspect import isabstract
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skmeta._sklearn_compat import CallbackSupport, fit_context, parameter_names
from skmeta._training import FitSettings, learner_name
from skmeta._validation import check_count
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._evaluation import evaluate, summarise
from skmeta.learners._core._fit import LearningCurve, meta_fit, untrained_prior
from skmeta.learners._core._settings import NetworkSettings, TaskSettings
from skmeta.priors import MetaPrior

_FITTED = ("prior_", "learning_curve_", "n_features_in_")
_ESTIMATOR_METHODS = (
    "predict",
    "predict_log_proba",
    "predict_proba",
    "predict_quantiles",
    "decision_function",
    "classes_",
)

LEARNERS: dict[str, type[MetaLearner]] = {}
"""Learners by the name that a prior keeps: see :func:`learner_name`."""


class MetaLearner(CallbackSupport, FitSettings):
    """Base class of the meta-learners: what is fitted to many tasks to learn new ones.

    A subclass has parameters, and in ``algorithm`` a subclass of :class:`Algorithm`: see
    :ref:`own-learner`. This class has the parameters of a learner in closed form;
    :class:`NetworkLearner` adds an outer loop and a network.

    Attributes
    ----------
    prior_ : MetaPrior
        What was learned: the first argument of a few-shot estimator.
    learning_curve_ : dict of list
        Learning curve, one entry per evaluation: ``iteration``, ``train_loss`` and ``train_score``
        since the entry before, ``validation_loss``, ``validation_score``, ``meta_lr``, ``seconds``.
    summary_ : str
        How the prior and the plain models score, and which is ahead.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if ``X`` had some.
    """

    algorithm: ClassVar[type[Algorithm]]

    if not TYPE_CHECKING:  # Else any attribute would pass for known.

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if wrong := vars(cls).keys() & set(parameter_names(cls)):
            name = min(wrong)
            raise TypeError(
                f"{name!r} is no parameter of {cls.__name__}, because a parameter needs a type. "
                f"Write {name}: ... = ... in the class."
            )
        if not hasattr(cls, "algorithm"):
            raise TypeError(f"{cls.__name__} has no algorithm. Set it to a subclass of Algorithm.")
        return super().__new__(cls, *args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the learner by the name that its priors keep."""
        super().__init_subclass__(**kwargs)
        algorithm = getattr(cls, "algorithm", Algorithm)
        if misplaced := [n for n in vars(cls) if n[0] != "_" and hasattr(algorithm, n)]:
            raise TypeError(
                f"{cls.__name__}.{misplaced[0]} is a part of the algorithm, not of the learner. "
                f"Write it in a subclass of {cls.__mro__[1].__name__}.algorithm, and set algorithm "
                "to that class."
            )
        if not isabstract(algorithm):
            LEARNERS[learner_name(cls)] = cls

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.algorithm.allow_nan
        return tags

    @property
    def summary_(self) -> str:
        """How the prior and plain models score on the validation tasks."""
        return summarise(type(self).__name__, self.learning_curve_)

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Meta-train on the tasks in a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows of all tasks.
        y : array-like of shape (n_samples,)
            Class labels, or the targets of regressions.
        groups : array-like of shape (n_samples,), optional
            The task of each row. Without it, tasks of ``n_way`` classes are drawn from ``y``.

        Returns
        -------
        self : object
            The fitted learner.

        Raises
        ------
        EpisodeError
            If the rows cannot form the tasks asked for.
        ValueError
            If the backbone does not fit the rows.
        FileFormatError
            If the checkpoint belongs to another run.
        """
        prior, history = meta_fit(self, X, y, groups)
        self.prior_: MetaPrior = prior
        self.learning_curve_: LearningCurve = history
        return self

    def score(self, X: Any, y: Any, groups: Any = None) -> float:
        """Return the mean accuracy (R2 for regression) on tasks, each learned from its support set.

        Tasks are those of :meth:`score_tasks`, as many as a validation has (100 by default). R2 is
        over the query rows of all tasks together.

        Parameters
        ----------
        X, y, groups : array-like
            As for :meth:`fit`, of tasks that meta-training has not seen. ``groups`` is needed if
            ``fit`` had it.

        Returns
        -------
        float
            The score.

        Warns
        -----
        PriorWarning
            If classes or groups of the meta-training are used again.
        """
        check_is_fitted(self, "prior_")
        if self.prior_.kind == "classification":
            return float(self.score_tasks(X, y, groups).mean())
        y_true, predicted, weight = map(np.ravel, evaluate(self, X, y, groups))
        return float(r2_score(y_true, predicted, sample_weight=weight))

    def score_tasks(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        n_tasks: int | None = None,
        n_shot: int | tuple[int, int] | None = None,
        n_query: int | None = None,
        n_inner_steps: int | None = None,
        random_state: Any = None,
        test_time_augment: Any = "auto",
    ) -> np.ndarray:
        """Score each of many tasks, for confidence intervals.

        Parameters
        ----------
        X, y, groups : array-like
            As for :meth:`score`.
        n_tasks : int, optional
            Number of tasks drawn; by default those of a validation.
        n_shot, n_query : int, optional
            Rows of a task; by default those of the meta-training (5 and 15 in closed form).
        n_inner_steps : int, optional
            Gradient steps of a task; by default the learner's own.
        random_state : int, Generator, RandomState or None, default=None
            Draws the tasks; None takes the learner's own, or 0 in closed form.
        test_time_augment : {"auto", "mirror", "rotations"}, list of these or None, default="auto"
            Views of a task of images; ``"auto"``: those of ``augment``. See :ref:`own-networks`.

        Returns
        -------
        ndarray of shape (n_tasks,)
            Accuracy of each task, or minus its mean squared error in squared units of ``y``.
        """
        check_is_fitted(self, "prior_")
        n_tasks = None if n_tasks is None else check_count(n_tasks, "n_tasks")
        own = self
        if n_inner_steps is not None:
            if "n_inner_steps" not in parameter_names(type(self)):
                raise ValueError(
                    f"n_inner_steps={n_inner_steps!r} was given, but {type(self).__name__} adapts "
                    "without gradient steps. Leave it out."
                )
            own = copy.copy(self)  # A clone would not be fitted.
            if "n_train_steps" in self.prior_.learner_params:
                own.set_params(n_train_steps=self.prior_.learner_params["n_train_steps"])
            own.set_params(n_inner_steps=check_count(n_inner_steps, "n_inner_steps", 0))
        given = {"n_shot": n_shot, "n_query": n_query, "random_state": random_state}
        drawn = {name: value for name, value in given.items() if value is not None}
        y_true, predicted, weight = evaluate(own, X, y, groups, n_tasks, test_time_augment, drawn)
        is_classification = self.prior_.kind == "classification"
        scores = y_true == predicted if is_classification else -((y_true - predicted) ** 2)
        return np.asarray(np.average(scores, axis=1, weights=weight))

    def initial_prior(
        self, X: Any, y: Any = None, *, kind: str = "classification", n_classes: int = 2
    ) -> MetaPrior:
        """Return the prior before any meta-training: random weights, and the scale of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows to take the standardisation from.
        y : array-like of shape (n_samples,), optional
            Targets of a regression.
        kind : {"classification", "regression"}, default="classification"
            What the tasks are.
        n_classes : int, default=2
            Rows of a learned head.

        Returns
        -------
        MetaPrior
            To compare with, or to start from.
        """
        return untrained_prior(self, X, y, kind, n_classes)


def missing_attribute(learner: Any, name: str) -> AttributeError:
    """Make the error for an attribute that a learner does not have, with what to do instead."""
    own, is_fitted = type(learner).__name__, "prior_" in vars(learner)
    if not is_fitted and (name in _FITTED or hasattr(type(learner), name)):
        error: AttributeError = NotFittedError(
            f"This {own} is not fitted yet, so it has no {name}. Call fit(X, y) on the rows of "
            "many tasks first."
        )
        return error
    if name in _ESTIMATOR_METHODS:
        is_regression = name == "predict_quantiles" or (
            is_fitted and vars(learner)["prior_"].kind == "regression"
        )
        estimator = "MetaFewShotRegressor" if is_regression else "MetaFewShotClassifier"
        return AttributeError(
            f"{own} has no {name}: it learns from many tasks how to learn a new one. "
            f"{'Use' if is_fitted else 'Call fit first, then use'} an estimator for a new task: "
            f"{estimator}(learner).fit(X_new, y_new).{name}(...). A whole table of groups is "
            f"predicted by skmeta.Grouped{estimator.removeprefix('MetaFewShot')}(groups=...)."
        )
    return AttributeError(f"{own!r} object has no attribute {name!r}")


class OuterLoopLearner(TaskSettings, MetaLearner):
    """A learner that is meta-trained by an outer loop."""


class NetworkLearner(NetworkSettings, OuterLoopLearner):
    """A learner that meta-trains a network: the base class for learners of your own."""
