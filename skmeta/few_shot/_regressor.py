"""A regressor that learns from a few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from skmeta._sklearn_compat import StrOptions, fit_context
from skmeta._tabular import (
    KINDS,
    LEVELS,
    WeightedRows,
    least_expected,
    recognise_target,
    without_rounding,
)
from skmeta._threads import atomic
from skmeta._validation import check_levels, check_targets, one_column, quantiles_of
from skmeta.exceptions import PriorError
from skmeta.few_shot._base import BaseMetaFewShot, check_finite
from skmeta.few_shot._priors import is_for_any_table, learners_of_distributions, reads_tables
from skmeta.few_shot._target_scale import ChosenScale, choose_by_process
from skmeta.priors import MetaPrior


@dataclass(kw_only=True, eq=False, repr=False)
class MetaFewShotRegressor(RegressorMixin, BaseMetaFewShot):
    """Predict numbers after a few labelled rows, starting from what earlier tasks taught.

    ``MetaFewShotRegressor().fit(X, y)`` learns any small table; with a prior of your own, it learns
    a new task of its family. The guide is :doc:`/small_tables`.

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
    target_type : {"auto", "real", "positive", "count", "share", "ordered"}, default="auto"
        What the target can be: any number, an amount from 0 on, a count, a share or a rating.
        ``"auto"`` finds it in ten targets or more, and predicts nothing below 0 where they are near
        0 and none is negative; ``"real"`` may. See :doc:`/targets`.
    device : str or torch.device, default="auto"
        Where learners in torch compute; ``"auto"`` takes a GPU if there is one. Priors for tables
        are computed in NumPy, on the CPU.
    precision : {"auto", "float32", "float64"}, default="auto"
        Precision of the adaptation; ``"auto"`` chooses by device and size.

    Attributes
    ----------
    shares_ : dict of str to float
        Share of each model in the prediction. See :ref:`shares`.
    target_type_ : str
        What the targets are taken for.
    target_scale_ : str or None
        The scale of amounts, counts, shares and ratings: ``"as given"``, ``"square root"``,
        ``"logarithm"`` or ``"logit"``; None for real numbers.
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
    skmeta.learners.MetaSGD : Makes a prior.

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.few_shot import MetaFewShotRegressor
    >>> X = np.linspace(-1, 1, 20).reshape(-1, 1)
    >>> reg = MetaFewShotRegressor().fit(X, 3 * X[:, 0] + 1)
    >>> bool(reg.score(X, 3 * X[:, 0] + 1) > 0.9)
    True
    """

    target_type: str = "auto"

    _kind: ClassVar[str] = "regression"
    _least = -np.inf  # that is predicted; files of earlier versions have none

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMetaFewShot._parameter_constraints,
        "target_type": [StrOptions({"auto", *KINDS})],
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
            Targets.
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
            If rows or targets are not finite.
        PriorError
            If the rows are not those that the prior was learned for.
        """
        X, prior = self._read_support(X, y, sample_weight)
        y = self._check_y(y, len(X))
        if self.target_type not in ("auto", "real") and not is_for_any_table(prior):
            raise ValueError(
                f"target_type={self.target_type!r} needs a prior for any table, as prior='tabular' "
                "is. Set target_type='real', or leave prior out."
            )
        self._fit_rows(X, y, sample_weight, prior)
        return self._describe_target()

    @fit_context(prefer_skip_nested_validation=True)
    @atomic
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Continue the adaptation with further rows.

        Gradient steps go on from the adapted weights, over all rows given so far.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Further rows.
        y : array-like of shape (n_samples,)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts, relative to the others: :ref:`row-weights`. Learners in torch
            weight the inner loss.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        if not hasattr(self, "adapted_"):
            self.fit(X, y, sample_weight)
            return self
        X = self._read_rows(X, self.prior_)
        self._fit_more_rows(X, self._check_y(y, len(X)), sample_weight)
        return self._describe_target()

    def _check_y(self, y: Any, n_rows: int) -> np.ndarray:
        """Return targets (n,), or raise a ValueError if one is not of the declared kind."""
        targets = check_targets(one_column(y, "MultiOutputRegressor"), n_rows)
        if self.target_type == "real":
            return targets
        targets = without_rounding(targets)
        if self.target_type != "auto":
            recognise_target(targets, self.target_type)
        return targets

    def _choose_scale(
        self, support: WeightedRows, prior: MetaPrior, nominal: tuple[int, ...]
    ) -> ChosenScale | None:
        if self.target_type == "real" or not is_for_any_table(prior):
            return None
        return choose_by_process(support, self.target_type, nominal)

    def _describe_target(self) -> Self:
        scale = None if self._mixture is None else self._mixture.scale
        self.target_type_: str = "real" if scale is None else scale.target.kind
        self.target_scale_: str | None = None if scale is None else scale.scale.name
        is_open = self.target_type == "auto" and scale is None and is_for_any_table(self.prior_)
        self._least = least_expected(*self._support[1:]) if is_open else -np.inf
        return self

    def predict(
        self, X: Any, return_std: bool = False, quantiles: Any = None
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The query set.
        return_std : bool, default=False
            Whether to return the standard deviation of the predicted distribution too. Priors of
            :class:`~skmeta.learners.InContextLearner`,
            :class:`~skmeta.learners.HierarchicalLinear` and :class:`~skmeta.learners.ALPaCA` know
            it.
        quantiles : float or array-like of shape (n_quantiles,), default=None
            Levels between 0 and 1: return quantiles in place of means, as
            :meth:`predict_quantiles`. Pipelines pass it on.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,)
            Predictions, in units of ``y``; with ``quantiles``, these, of shape (n_samples,
            n_quantiles) if several.
        y_std : ndarray of shape (n_samples,)
            Standard deviations, only if ``return_std`` is True.

        Raises
        ------
        PriorError
            If ``return_std`` is True, and the prior's learner predicts no distribution.
        """
        check_is_fitted(self)
        if quantiles is not None:
            return quantiles_of(self, X, quantiles, return_std)
        if return_std or self.target_scale_ is not None:
            mean, std, _ = self._predict_distribution(X, np.empty(0))
            return (mean, std) if return_std else mean
        task, parts, mixture = self._read_query(X)
        means = [task.predict(part) for part in parts]
        if mixture is not None:
            means = [mixture.mix(own, part) for own, part in zip(means, parts, strict=True)]
        return np.asarray(np.maximum(check_finite(np.concatenate(means)), self._least))

    def predict_quantiles(self, X: Any, quantiles: Any = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Predict quantiles of the target of each row.

        Priors of :class:`~skmeta.learners.InContextLearner`,
        :class:`~skmeta.learners.HierarchicalLinear` and :class:`~skmeta.learners.ALPaCA` know the
        distribution of a target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            The query set.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Levels between 0 and 1, both excluded. The default gives the median and an interval
            that should hold 90% of the targets.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Quantiles, in units of ``y``.

        Raises
        ------
        ValueError
            If a level is not between 0 and 1.
        PriorError
            If the prior's learner predicts no distribution.
        """
        return self._predict_distribution(X, check_levels(quantiles))[2]

    def _predict_distribution(self, X: Any, levels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Mean (n,), standard deviation (n,) and quantiles (n, q) of the targets."""
        check_is_fitted(self)
        prior = self.prior_
        able = [prior.learner] if reads_tables(prior) else learners_of_distributions()
        if prior.learner not in able:
            raise PriorError(
                f"The prior was learned by {self.prior_.learner}, which predicts a number, but no "
                f"distribution. Use a prior of {', '.join(able[:-1])} or {able[-1]}, or call "
                "predict(X)."
            )

        task, parts, mixture = self._read_query(X)
        if mixture is None:
            results = [task.predict_distribution(part, levels) for part in parts]
        else:
            results = [
                mixture.mix_distributions(
                    *task.predict_distribution(part, LEVELS)[::2], part, levels
                )
                for part in parts
            ]
        arrays = zip(*results, strict=True)
        mean, std, quantiles = (check_finite(np.concatenate(each)) for each in arrays)
        return np.maximum(mean, self._least), std, np.maximum(quantiles, self._least)
