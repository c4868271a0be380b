"""A regressor for tables whose rows belong to groups."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmeta._reporting import rates_frame
from skmeta._sklearn_compat import Interval, StrOptions, fit_context
from skmeta._tabular import KINDS, CalibratedOutputs, recognise_target, without_rounding
from skmeta._threads import atomic
from skmeta._validation import check_levels, check_targets, one_column, quantiles_of
from skmeta.grouped._base import BaseGrouped, has_groups


@dataclass(eq=False, repr=False)
class GroupedRegressor(RegressorMixin, BaseGrouped):
    """Predict numbers in a table whose rows belong to groups, such as pupils to schools.

    One ``fit`` learns what all groups share, how groups differ, and each known group. One
    ``predict`` then takes rows of known groups, of new groups of which ``partial_fit`` was given
    some rows, and of groups without any. The guide is :doc:`/grouped`.

    Parameters
    ----------
    groups : str, int, list of them or None, default=None
        Name or position of the column of ``X`` that holds the groups: strings or whole numbers.
        Several columns may be nested or crossed (:ref:`several-columns`). None takes all rows for
        one group.
    population : "auto" or regressor, default="auto"
        Learns what all groups share, from the other columns. ``"auto"`` is gradient-boosted trees,
        averaged with extremely randomised trees up to 10,000 rows.
    model : {"mixture", "mixed", "population"} or HierarchicalLinear, default="mixture"
        What predicts: a mixture weighted by errors in held-out groups, a mixed-effects model
        of the columns, or the population. The ``effects``, ``rank`` and ``shrinkage`` of a
        :class:`~skmeta.learners.HierarchicalLinear` are those of the mixed-effects model.
    unknown_groups : {"predict", "error"}, default="predict"
        Whether groups without known rows are predicted from what is shared, or are an error.
    order : str, int or None, default=None
        Name or position of the column of times, numbers or dates: later rows are predicted from
        earlier ones. See :doc:`/growth_curves`.
    target_type : {"auto", "real", "positive", "count", "share", "ordered"}, default="auto"
        What the target can be: any number, an amount from 0 on, a count, a share or a rating.
        ``"auto"`` finds it in the targets. See :doc:`/targets`.
    exposure : str, int or None, default=None
        Name or position of a column of exposures, such as years or hectares. Counts or amounts are
        rates times these, and ``predict`` is given that of each row. Of counts, one row per group
        is enough. See :ref:`exposures <exposure>`.
    exposure_unit : float, default=1.0
        Rates in ``effects_``, ``summary_``, ``rates`` and ``contrast`` are per so many units of
        exposure, such as 100,000 persons.
    season : "auto", int, list of int or None, default="auto"
        Steps of one or several cycles in ``order``. ``"auto"`` takes those of the calendar for
        dates, and tests for one in whole numbers. See :doc:`/growth_curves`.
    n_folds : int, default=5
        Number of folds of groups.
    n_jobs : int, default=None
        Number of population models that are fitted at once.
    verbose : int, default=0
        1 shows progress on standard error.

    Attributes
    ----------
    target_type_ : str
        The kind of the target, as declared or found.
    groups_ : list
        Groups with known rows; of several columns, a list for each.
    effects_ : pandas.DataFrame
        What is shared, and a row for each group: intercept, slopes and standard deviations.
    losses_ : pandas.DataFrame
        Losses of each member and of the mixture in held-out groups, by the number of known rows.
    summary_ : str
        Whether the group matters, how much, and what the mixture was compared with.
    seasons_ : list of str
        Names of the seasons in time, such as ``"month"``; empty without any.
    n_features_in_ : int
        Number of columns, the groups included.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if ``X`` had some.

    See Also
    --------
    GroupedClassifier : The same for classes.
    skmeta.learners.HierarchicalLinear : The mixed-effects model.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import GroupedRegressor
    >>> rng = np.random.default_rng(0)
    >>> school = np.repeat(np.arange(30), 10)
    >>> X = np.column_stack([school, rng.normal(size=300)])
    >>> y = X[:, 1] + rng.normal(size=30)[school] + 0.1 * rng.normal(size=300)
    >>> model = GroupedRegressor(groups=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    >>> model.partial_fit([[99, 0.0]], [5.0]).predict([[99, 1.0], [100, 1.0]]).round()
    array([6., 1.])
    """

    _: KW_ONLY
    target_type: str = "auto"
    exposure: str | int | None = None
    exposure_unit: float = 1.0
    season: Any = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseGrouped._parameter_constraints,
        "target_type": [StrOptions({"auto", *KINDS})],
        "exposure": [str, Integral, None],
        "exposure_unit": [Interval(Real, 0, None, closed="neither")],
        "season": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left"), list, None],
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
            Targets.
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
            value or numbers with fractions, if rows or targets are no numbers, or if there is an
            ``exposure_unit`` without an ``exposure``.
        EpisodeError
            If each row has its own group, and is no count with an exposure, or the groups are a
            copy of the target.

        Warns
        -----
        UnusedDataWarning
            If there are fewer than ten groups, a column rises within the groups as time does and
            ``order`` is None, or ``X`` is a data frame and no column of it has groups.
        """
        self._check_groups_argument(X, groups)
        self._check_season()
        if self.exposure is None and self.exposure_unit != 1:
            raise ValueError(
                f"exposure_unit={self.exposure_unit!r} is the unit of rates, which need a column "
                "of exposures. Set exposure to its name, or leave exposure_unit at 1."
            )
        X, targets = self._checked(X, y, reset=True)
        # Rows without a weight are left out: 0 is of any kind.
        known = np.where(self._weight(sample_weight, X) > 0, targets, 0.0)
        kind = self.target_type if self.exposure is None else self._kind_of_exposed(known)
        if kind != "auto":
            recognise_target(known, kind)
        self._fit_table(X, targets, sample_weight, 0, kind)
        self.target_type_: str = self.model_.target_units.target.kind
        return self

    def _check_season(self) -> None:
        """Raise a ValueError if a season of a list is no number of steps."""
        given = self.season if isinstance(self.season, list) else []
        whole = [s for s in given if isinstance(s, (int, np.integer)) and s > 1]
        if len(set(whole)) < len(given):
            raise ValueError(
                "season must be 'auto', None, or whole numbers of steps from 2 on, each once, got "
                f"{self.season!r}."
            )

    def _kind_of_exposed(self, y: np.ndarray) -> str:
        """Return whether targets (n,) with exposures are counts or amounts, or raise an error."""
        kind = self.target_type
        if kind not in ("auto", "count", "positive"):
            raise ValueError(
                f"exposure={self.exposure!r} needs counts or amounts, got target_type={kind!r}. "
                "Set target_type='count' or 'positive', or exposure=None."
            )
        if kind == "auto":
            kind = "count" if (y == np.floor(y)).all() else "positive"
        if (y < 0).any():
            row = int((y < 0).argmax())
            raise ValueError(
                f"exposure={self.exposure!r} needs counts or amounts from 0 on, but y is "
                f"{float(y[row]):.6g} in row {row}. Set exposure=None."
            )
        return kind

    @available_if(has_groups)
    @fit_context(prefer_skip_nested_validation=False)
    @atomic
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add known rows of new or known groups.

        What was learned from all groups stays as it is. The first call is ``fit``.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows, with the column of groups.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, in the units of those of ``fit``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, a group is missing, rows or targets are no
            numbers, or targets are not of the kind of ``fit``, such as negative counts.
        """
        if not hasattr(self, "model_"):
            self.fit(X, y, sample_weight)
            return self
        X, targets = self._checked(X, y, reset=False)
        cure = "Fit all rows again, with another target_type if this one is wrong."
        self.model_.target_units.target.check(targets, "target_type_", cure)
        self._add_rows(X, targets, sample_weight)
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        X = self._check_table(X, reset=reset, y=y)
        targets = check_targets(one_column(y, "MultiOutputRegressor"), len(X))
        kind = self.target_type if reset else self.target_type_
        return X, targets if kind == "real" else without_rounding(targets)

    def predict(
        self, X: Any, return_std: bool = False, quantiles: Any = None
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the target of each row.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups.
        return_std : bool, default=False
            Whether to return standard deviations too. Those of new groups include the deviation
            between groups.
        quantiles : float or array-like of shape (n_quantiles,), default=None
            Levels between 0 and 1: return quantiles in place of means, as
            :meth:`predict_quantiles`. Pipelines pass it on.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,)
            Predictions; with ``quantiles``, these, of shape (n_samples, n_quantiles) if several.
        y_std : ndarray of shape (n_samples,)
            Standard deviations, only if ``return_std`` is True.
        """
        if quantiles is not None:
            return quantiles_of(self, X, quantiles, return_std)
        outputs = self._predictions(X)
        mean = self._means(outputs)
        return (mean, self.model_.target_units.std(outputs)) if return_std else mean

    def _means(self, outputs: CalibratedOutputs) -> np.ndarray:
        """Return predictions (n,) in units of targets."""
        means: np.ndarray = self.model_.target_units.mean(outputs)
        return means

    @property
    def seasons_(self) -> list[str]:
        """Names of the seasons in time, such as ``"month"``; empty without any."""
        check_is_fitted(self, "model_")
        seasons: list[str] = self.model_.seasons
        return seasons

    def predict_quantiles(self, X: Any, quantiles: Any = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Predict quantiles of the target of each row.

        They are calibrated on groups that were held out.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Levels between 0 and 1, both excluded. Levels below 0.0025 and above 0.9975 are taken
            for these.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Quantiles, in units of ``y``.

        Raises
        ------
        ValueError
            If a level is not between 0 and 1.
        """
        levels = check_levels(quantiles)
        return np.asarray(self.model_.target_units.quantiles(self._predictions(X), levels))

    def rates(self, X: Any, level: float = 0.9) -> Any:
        """Estimate the rate of each row with its interval, of counts with exposures.

        The interval is that of the rate itself, which a longer exposure would show, and not of a
        count to come, as that of :meth:`predict_quantiles`. It is of a mixed-effects model of
        counts, linear in the columns. See :doc:`/reporting`.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups. Their exposures do not matter.
        level : float, default=0.9
            Share of intervals that hold the rate.

        Returns
        -------
        pandas.DataFrame
            ``rate``, ``std``, ``lower`` and ``upper`` of each row, per ``exposure_unit``.

        Raises
        ------
        ValueError
            If there is no exposure, targets are no counts, or events are too few to tell a rate.
        """
        check_is_fitted(self, "model_")
        if self.exposure is None:
            raise ValueError("rates needs exposure, the column of what counts are over. Name it.")
        known, at = self._rows_to_report(None), self._rows_to_report(X)
        return rates_frame(known, at, level, getattr(X, "index", None))
