"""A classifier that learns from a few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin

from skmeta._sklearn_compat import StrOptions, fit_context
from skmeta._threads import atomic
from skmeta._validation import (
    check_class_labels,
    check_class_weight,
    check_labels,
    class_weights,
    quote,
    quote_some,
    ranks_of_classes,
)
from skmeta.few_shot._base import BaseMetaFewShot, check_finite
from skmeta.few_shot._members import Fit
from skmeta.few_shot._ordered import ordered_members
from skmeta.few_shot._priors import RunSettings, family_classes, is_for_any_table

# The logarithm of a probability of 0 is that of the smallest number.
_MIN_PROBABILITY = np.finfo(np.float64).tiny


@dataclass(kw_only=True, eq=False, repr=False)
class MetaFewShotClassifier(ClassifierMixin, BaseMetaFewShot):
    """Classify after a few labelled rows, starting from what earlier tasks taught.

    ``MetaFewShotClassifier().fit(X, y)`` learns any small table; with a prior of your own, it
    learns a new task of its family. Any number of classes and rows may be given, whatever the prior
    was meta-trained with; only a prior of tasks that share their classes knows no others. The guide
    is :doc:`/small_tables`.

    Parameters
    ----------
    prior : MetaPrior, MetaLearner, "tabular" or None, default=None
        What earlier tasks taught: a prior, or a fitted meta-learner, whose ``prior_`` is used. None
        is ``"tabular"``, the prior that ships for any small table.
    learner_params : dict, default=None
        Settings of the adaptation in place of the prior's, such as ``{"n_inner_steps": 5}``. A
        grid names one ``learner_params__n_inner_steps``. See :ref:`settings-of-a-task`.
    n_views : int, default=None
        Views of a table that predictions are averaged over, at most 64; None takes the prior's.
    class_weight : dict, "balanced" or None, default=None
        Factors of the predicted probabilities of classes. See :ref:`class-weights`.
    target_type : {"auto", "nominal", "ordered"} or list of labels, default="auto"
        Whether the classes have an order: a list has them from the lowest to the highest.
        ``"auto"`` is ``"ordered"`` for three or more of pandas' ordered categories. See
        :ref:`ordered-classes`.
    device : str or torch.device, default="auto"
        Where learners in torch compute; ``"auto"`` takes a GPU if there is one. Priors for tables
        are computed in NumPy, on the CPU.
    precision : {"auto", "float32", "float64"}, default="auto"
        Precision of the adaptation; ``"auto"`` chooses by device and size.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels: those of ``y``, or those of the prior if its tasks share their classes.
    class_weight_ : ndarray of shape (n_classes,)
        Factor of each class.
    target_type_ : {"nominal", "ordered"}
        Whether models of the classes' order take part.
    ordered_classes_ : ndarray of shape (n_classes,) or None
        Labels from the lowest to the highest class; None if they have no order.
    shares_ : dict of str to float
        Share of each model in the prediction. See :ref:`shares`.
    prior_ : MetaPrior
        The prior used.
    adapted_ : dict of ndarray
        What the adaptation changed or added; with a prior for tables, the rows it reads.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if ``X`` had some.

    See Also
    --------
    skmeta.learners.MAML : Makes a prior.

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks.

    Saerens, Latinne and Decaestecker (2002), Adjusting the outputs of a classifier to new a priori
    probabilities, equation 2.4 (``class_weight``).

    McCullagh (1980), Regression models for ordinal data (cumulative models).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmeta.few_shot import MetaFewShotClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MetaFewShotClassifier().fit(X[::10], y[::10])    # 15 rows
    >>> bool(clf.score(X, y) > 0.9)
    True
    """

    class_weight: Any = None
    target_type: Any = "auto"

    _kind: ClassVar[str] = "classification"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMetaFewShot._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "target_type": [StrOptions({"auto", "nominal", "ordered"}), list, tuple],
    }

    @fit_context(prefer_skip_nested_validation=True)
    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Adapt the prior to a task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The support set.
        y : array-like of shape (n_samples,)
            Class labels, of two classes or more. With a prior of tasks that share their classes
            (meta-training with ``groups``), rows of one of them are enough: each class of the
            prior gets a probability.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts, relative to the others: :ref:`row-weights`. Learners in torch
            weight the inner loss.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If rows are not finite, or there is one class only.
        PriorError
            If the rows or labels are not those that the prior was learned for.
        """
        return self._fit(X, y, None, sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
    @atomic
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Continue the adaptation with further rows.

        Gradient steps go on from the adapted weights, over all rows given so far.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Further rows.
        y : array-like of shape (n_samples,)
            Their class labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will come; needed at the first call only.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts, relative to the others: :ref:`row-weights`. Learners in torch
            weight the inner loss.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If ``classes`` are missing at the first call, or differ later.
        """
        if not hasattr(self, "adapted_"):
            if classes is None:
                raise ValueError(
                    "partial_fit needs all classes at its first call, but classes is None. Pass "
                    "classes=np.unique(all_labels)."
                )
            return self._fit(X, y, np.unique(check_labels(classes, "classes")), sample_weight)
        if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={quote_some(np.unique(classes))} differ from those of the first call, "
                f"{quote_some(self.classes_)}. Leave classes out, or fit anew."
            )
        X = self._read_rows(X, self.prior_)
        labels = check_labels(y, "y", len(X))
        self._fit_more_rows(X, _class_positions(labels, self.classes_), sample_weight)
        return self._weigh_classes()

    def _fit(self, X: Any, y: Any, classes: np.ndarray | None, sample_weight: Any) -> Self:
        X, prior = self._read_support(X, y, sample_weight)
        given, y = y, check_class_labels(y, len(X))
        if classes is None:
            classes = np.unique(y)
            family = family_classes(prior)
            if family is not None and np.isin(classes, family).all():
                classes = np.sort(family)
        if len(classes) < 2:
            raise ValueError(
                "A classification needs rows of 2 classes or more, but y has one class: "
                f"{quote(classes[0])}."
            )
        check_class_weight(self.class_weight, classes)
        if not is_for_any_table(prior):
            _check_nominal(self.target_type)
        self._rank = None
        if is_for_any_table(prior):
            self._rank = ranks_of_classes(given, classes, self.target_type)
        self._fit_rows(X, _class_positions(y, classes), sample_weight, prior, classes)
        return self._weigh_classes()

    def _more_members(self, settings: RunSettings, nominal: tuple[int, ...]) -> dict[str, Fit]:
        return {} if self._rank is None else ordered_members(self._rank, settings, nominal)

    def _weigh_classes(self) -> Self:
        _, y, weight = self._support
        self.class_weight_: np.ndarray = class_weights(self.class_weight, self.classes_, y, weight)
        rank = self._rank
        self.target_type_: str = "nominal" if rank is None else "ordered"
        self.ordered_classes_: np.ndarray | None = (
            None if rank is None else self.classes_[np.argsort(rank)]
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The query set.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        logits = self._logits(X)
        return np.asarray(self.classes_[logits.argmax(1)])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The query set.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return np.asarray(softmax(self._logits(X), axis=1))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The query set.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms, in the order of ``classes_``.
        """
        return np.asarray(log_softmax(self._logits(X), axis=1))

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The query set.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Logit of each class; for two classes, that of the second over the first.
        """
        logits = self._logits(X)
        return np.asarray(logits[:, 1] - logits[:, 0]) if logits.shape[1] == 2 else logits

    def _logits(self, X: Any) -> np.ndarray:
        """Return the logits (n, c) of rows: the prior's, or those of the mixture."""
        task, parts, mixture = self._read_query(X)
        if mixture is None:
            logits = np.concatenate([task.logits(part) for part in parts])
        else:
            mixed = np.concatenate([mixture.mix(task.predict(part), part) for part in parts])
            logits = np.log(np.maximum(mixed, _MIN_PROBABILITY))
        check_finite(logits.max(axis=1))  # A class may be impossible, but not all of them.
        return np.asarray(logits + np.log(self.class_weight_))


def _class_positions(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the position of each label (n,) among the sorted labels; others raise a ValueError."""
    positions = np.searchsorted(labels, y).clip(max=len(labels) - 1)
    unknown = labels[positions] != y
    if unknown.any():
        raise ValueError(
            f"y has labels that are not among the classes: {quote_some(np.unique(y[unknown]))}. "
            "Name them in the first call of partial_fit, or fit anew."
        )
    return positions.astype(np.int64, copy=False)


def _check_nominal(target_type: Any) -> None:
    if target_type not in ("auto", "nominal"):
        raise ValueError(
            f"target_type={target_type!r} needs a prior for any table, as prior='tabular' is. Set "
            "target_type='nominal', or leave prior out."
        )
