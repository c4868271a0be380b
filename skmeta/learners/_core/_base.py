"""The base class of the meta-learners: an algorithm that can be fitted and scored."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skmeta._sklearn_compat import fit_context
from skmeta._validation import check_count
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._docs import complete
from skmeta.learners._core._evaluation import evaluate
from skmeta.learners._core._fit import meta_fit, untrained_prior
from skmeta.priors import MetaPrior

_FITTED = ("prior_", "history_", "n_features_in_")
_OF_ESTIMATORS = ("predict", "predict_proba", "predict_quantiles", "decision_function", "classes_")

LEARNERS: dict[str, type[MetaLearner]] = {}


@dataclass(kw_only=True, eq=False, repr=False)
class MetaLearner(Algorithm):
    """Base class of the meta-learners: settings, with pure methods.

    A subclass writes ``init_state``, ``adapt`` and ``forward``; one that does not descend the
    query loss writes ``meta_gradient`` too.
    """

    if not TYPE_CHECKING:  # Else any attribute would pass for known.

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        parameters = [n for n, kind in get_annotations(cls).items() if "ClassVar" not in str(kind)]
        if parameters and "__dataclass_fields__" not in vars(cls):
            raise TypeError(
                f"{cls.__name__} is no dataclass, so {parameters[0]!r} is not a parameter of it. "
                "Write @dataclass(kw_only=True, eq=False, repr=False) above the class."
            )
        learner: Self = super().__new__(cls)
        return learner

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        LEARNERS[cls.__name__] = cls
        complete(cls)

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
        BackboneError
            If the backbone does not fit the rows.
        CheckpointError
            If the checkpoint belongs to another run.
        """
        self.prior_, self.history_ = meta_fit(self, X, y, groups)
        return self

    def score(self, X: Any, y: Any, groups: Any = None) -> float:
        """Return the mean accuracy (R2 for regression) on tasks, each learned from its support set.

        ``n_validation_tasks`` tasks of ``n_way`` classes, ``n_shot`` and ``n_query`` are drawn
        with ``random_state``. For regression, R2 is over the query rows of all tasks together.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows of tasks that meta-training has not seen.
        y : array-like of shape (n_samples,)
            Class labels, or the targets of regressions.
        groups : array-like of shape (n_samples,), optional
            The task that each row belongs to; needed if ``fit`` had it.

        Returns
        -------
        float
            The score.

        Warns
        -----
        OverlapWarning
            If classes or groups of the meta-training are used again.
        """
        check_is_fitted(self, "prior_")
        results = evaluate(self, X, y, groups, self.n_validation_tasks)
        if self.prior_.kind == "classification":
            return float(results.accuracy().mean())
        return results.r2()

    def score_tasks(
        self, X: Any, y: Any, groups: Any = None, *, n_tasks: int | None = None
    ) -> np.ndarray:
        """Score each of many tasks, for confidence intervals.

        Parameters
        ----------
        X, y, groups : array-like
            As for :meth:`score`.
        n_tasks : int, optional
            Number of tasks drawn; by default ``n_validation_tasks``.

        Returns
        -------
        ndarray of shape (n_tasks,)
            Accuracy of each task, or mean squared error in squared units of ``y``.
        """
        check_is_fitted(self, "prior_")
        if n_tasks is None:
            n_tasks = self.n_validation_tasks
        results = evaluate(self, X, y, groups, check_count(n_tasks, "n_tasks"))
        if self.prior_.kind == "classification":
            return results.accuracy()
        return results.squared_error()

    def initial_prior(
        self,
        X: Any,
        y: Any = None,
        *,
        kind: str = "classification",
        n_classes: int = 2,
        sample_weight: np.ndarray | None = None,
    ) -> MetaPrior:
        """Return the prior before any meta-training: drawn weights, and the scale of the rows.

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
        sample_weight : ndarray of shape (n_samples,), optional
            Weights of the rows in the standardisation.

        Returns
        -------
        MetaPrior
            To compare with, or to start from.
        """
        return untrained_prior(self, X, y, kind, sample_weight, n_classes)


def missing_attribute(learner: Any, name: str) -> AttributeError:
    """Make the error for an attribute that a learner does not have, with what to do instead."""
    own, is_fitted = type(learner).__name__, "prior_" in vars(learner)
    if not is_fitted and (name in _FITTED or hasattr(type(learner), name)):
        error: AttributeError = NotFittedError(
            f"This {own} is not fitted yet, so it has no {name}. Call fit(X, y) on the rows of "
            "many tasks first."
        )
        return error
    if name in _OF_ESTIMATORS:
        is_regression = name == "predict_quantiles" or (
            is_fitted and vars(learner)["prior_"].kind == "regression"
        )
        estimator = "MetaFewShotRegressor" if is_regression else "MetaFewShotClassifier"
        return AttributeError(
            f"{own} has no {name}: it learns from many tasks how to learn a new one. "
            f"{'Use' if is_fitted else 'Call fit first, then use'} an estimator for a new task: "
            f"{estimator}(learner).fit(X_new, y_new).{name}(...)."
        )
    return AttributeError(f"{own!r} object has no attribute {name!r}")
