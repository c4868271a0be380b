"""A classifier for tables whose rows belong to groups."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from skmeta._sklearn_compat import StrOptions, fit_context
from skmeta._tabular import CalibratedOutputs
from skmeta._threads import atomic
from skmeta._validation import (
    check_class_labels,
    check_class_weight,
    class_weights,
    quote_some,
    ranks_of_classes,
)
from skmeta.grouped._base import BaseGrouped, has_groups

# Trees and effects take time that grows with the number of classes.
_MAX_CLASSES = 50


@dataclass(eq=False, repr=False)
class GroupedClassifier(ClassifierMixin, BaseGrouped):
    """Classify rows of a table that belong to groups, such as visits to patients.

    One ``fit`` learns what all groups share, how groups differ, and each known group. One
    ``predict`` then takes rows of known groups, of new groups of which ``partial_fit`` was given
    some rows, and of groups without any. Classes mean the same in all groups. The guide is
    :doc:`/grouped`.

    Parameters
    ----------
    groups : str, int, list of them or None, default=None
        Name or position of the column of ``X`` that holds the groups: strings or whole numbers.
        Several columns may be nested or crossed (:ref:`several-columns`). None takes all rows for
        one group.
    population : "auto" or classifier, default="auto"
        Learns what all groups share, from the other columns. ``"auto"`` is gradient-boosted trees.
    model : {"mixture", "mixed", "population"} or HierarchicalLinear, default="mixture"
        What predicts: a mixture weighted by log losses in held-out groups, a mixed-effects model
        of the columns, or the population. The ``effects``, ``rank`` and ``shrinkage`` of a
        :class:`~skmeta.learners.HierarchicalLinear` are those of the mixed-effects model.
    unknown_groups : {"predict", "error"}, default="predict"
        Whether groups without known rows are predicted from what is shared, or are an error.
    order : str, int or None, default=None
        Name or position of the column of times, numbers or dates. It stays a feature, and the
        known rows of a held-out group are its earliest. See :doc:`/growth_curves`.
    target_type : {"auto", "nominal", "ordered"} or list of labels, default="auto"
        Whether the classes have an order: a list has them from the lowest to the highest.
        ``"auto"`` is ``"ordered"`` for three or more of pandas' ordered categories. See
        :ref:`ordered-classes`.
    class_weight : dict, "balanced" or None, default=None
        Factors of the predicted probabilities of classes. See :ref:`class-weights`.
    n_folds : int, default=5
        Number of folds of groups.
    n_jobs : int, default=None
        Number of population models that are fitted at once.
    verbose : int, default=0
        1 shows progress on standard error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    class_weight_ : ndarray of shape (n_classes,)
        Factor of each class.
    target_type_ : {"nominal", "ordered"}
        Whether a model of the classes' order takes part.
    ordered_classes_ : ndarray of shape (n_classes,) or None
        Labels from the lowest to the highest class; None if they have no order.
    groups_ : list
        Groups with known rows; of several columns, a list for each.
    effects_ : pandas.DataFrame
        What is shared, and a row for each group: intercept, slopes and standard deviations.
    losses_ : pandas.DataFrame
        Losses of each member and of the mixture in held-out groups, by the number of known rows.
    summary_ : str
        Whether the group matters, how much, and what the mixture was compared with.
    n_features_in_ : int
        Number of columns, the groups included.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if ``X`` had some.

    See Also
    --------
    GroupedRegressor : The same for numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import GroupedClassifier
    >>> rng = np.random.default_rng(0)
    >>> ward = np.repeat(np.arange(20), 10)
    >>> X = np.column_stack([ward, rng.normal(size=200)])
    >>> y = X[:, 1] + 2 * rng.normal(size=20)[ward] + 0.1 * rng.normal(size=200) > 0
    >>> clf = GroupedClassifier(groups=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9)
    True
    """

    _: KW_ONLY
    target_type: Any = "auto"
    class_weight: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseGrouped._parameter_constraints,
        "target_type": [StrOptions({"auto", "nominal", "ordered"}), list, tuple],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    @fit_context(prefer_skip_nested_validation=False)
    @atomic
    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Learn what is shared, how groups differ, and each group.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of all groups, with the column of groups. Columns of strings are categories, and
            values may be missing.
        y : array-like of shape (n_samples,)
            Class labels, of two classes or more.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts, relative to the others. See :ref:`row-weights`.
        groups : None
            Not used: the groups are a column of ``X``. The error says which one, or how to add it.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If groups are given beside ``X``, or the column of groups is not there, has a missing
            value or numbers with fractions, or if there is one class only, or more than 50
            that have no order, with effects of groups.
        EpisodeError
            If each row has its own group, or the groups are a copy of the target.

        Warns
        -----
        UnusedDataWarning
            If there are fewer than ten groups, a column rises within the groups as time does and
            ``order`` is None, or ``X`` is a data frame and no column of it has groups.
        """
        self._check_groups_argument(X, groups)
        given = y
        X, labels = self._checked(X, y, reset=True)
        weight = self._weight(sample_weight, X)
        classes = np.unique(labels)
        if len(np.unique(labels[weight > 0])) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of at least 2 classes, but all rows with a "
                f"weight have one class: {quote_some(np.unique(labels[weight > 0]).tolist())}."
            )
        check_class_weight(self.class_weight, classes)
        rank = ranks_of_classes(given, classes, self.target_type)
        has_effects = rank is None and self.model != "population"
        if has_effects and len(classes) > _MAX_CLASSES:
            raise ValueError(
                f"y has {len(classes):,} classes, but at most {_MAX_CLASSES} are allowed: each "
                "class has trees and effects of groups, and a fit to 1,000 rows takes 5 s for 16 "
                "classes and 17 s for 50. Merge rare classes, or set model='population' for a "
                "model without such effects."
            )
        self.classes_, self.target_type_ = classes, "nominal" if rank is None else "ordered"
        # In the model, classes are numbered in their order.
        self._rank = np.arange(len(classes)) if rank is None else rank
        self.ordered_classes_ = None if rank is None else classes[np.argsort(rank)]
        places = np.searchsorted(classes, labels)
        self.class_weight_ = class_weights(self.class_weight, classes, places, weight)
        self._fit_table(X, self._numbers_of(labels), weight, len(classes), self.target_type_)
        return self

    def _numbers_of(self, labels: np.ndarray) -> np.ndarray:
        """Return the numbers (n,) of labels in the model."""
        return self._rank[np.searchsorted(self.classes_, labels)].astype(float)

    def _classes_in_order(self) -> Any:
        return self.classes_[np.argsort(self._rank)].tolist()

    @available_if(has_groups)
    @fit_context(prefer_skip_nested_validation=False)
    @atomic
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Add known rows of new or known groups.

        What was learned from all groups stays as it is. The first call is ``fit``.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows, with the column of groups.
        y : array-like of shape (n_samples,)
            Class labels that ``fit`` has seen.
        classes : array-like of shape (n_classes,), default=None
            Ignored: the classes are those of the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, in the units of those of ``fit``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, a group is missing, or
            if ``y`` has a class that ``fit`` has not seen.
        """
        if not hasattr(self, "model_"):
            self.fit(X, y, sample_weight)
            return self
        X, labels = self._checked(X, y, reset=False)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has classes that fit has not seen: {quote_some(unknown.tolist())}. It has seen "
                f"{quote_some(self.classes_.tolist(), 8)}. Fit all rows again."
            )
        self._add_rows(X, self._numbers_of(labels), sample_weight)
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        X = self._check_table(X, reset=reset, y=y)
        return X, check_class_labels(y, len(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``, after ``class_weight``.
        """
        return self._means(self._predictions(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms, in the order of ``classes_``.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def _means(self, outputs: CalibratedOutputs) -> np.ndarray:
        """Return probabilities (n, n_classes)."""
        mean = outputs.mean[:, self._rank] * self.class_weight_
        return np.asarray(mean / mean.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each row.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])
