"""The rows of a grouped estimator, as reports of columns need them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional
from skmeta._reporting import ContrastMixin, ReportTable, columns_of
from skmeta._tabular import at_most

# Times of fit over which predictions are averaged, at most.
_N_TIMES = 20


class GroupedReports(ContrastMixin):
    """Gives grouped estimators their reports."""

    @property
    def _rate_unit(self) -> float:
        """Exposure that rates are per."""
        return float(getattr(self, "exposure_unit", 1.0))

    def parts(self, X: Any) -> Any:
        """Return predictions as sums of parts: what is shared, and what each group adds.

        ``shared`` is the prediction for a row of new groups. Each column of groups follows, in the
        order of ``groups``, with what its group adds once it is known; what a pair of groups adds
        is in the later one, and a group without known rows adds 0. With ``order``, ``shared`` is
        the mean over the times of ``fit``, and the column of times has what that of the row adds,
        seasons included.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of known and new groups.

        Returns
        -------
        pandas.DataFrame
            A row for each of ``X``, in units of ``y``. Their sums are ``predict(X)``, or the
            probability of the second of two classes. Of more classes, columns have two levels:
            the class and the part.
        """
        return _parts_of(self, X)

    def _rows_to_report(self: Any, X: Any) -> ReportTable:
        """Return the rows that the model knows, or others, as reports need them."""
        check_is_fitted(self, "model_")
        features, names = self._features, [str(name) for name in self._names]
        if X is None:
            known, units = self.model_.known, self.model_.target_units
            numbers = self.model_.column_units.restore(known.X)[:, -len(features.places) :]
            codes = known.codes[:, -max(len(names), 1) :]  # without series, and their indicators
            y = known.y if units is None else units.restore(known.y)
            weight, exposure = known.weight, np.ones(len(y))
            if self._exposure_position:
                learned = known.place >= 0
                numbers, codes, y, weight = (a[learned] for a in (numbers, codes, y, weight))
                relative = units.exposure[known.place[learned]]
                exposure, weight = self._exposure_unit * relative, weight / relative
                y = y * relative
            if self.target_type_ == "count":
                y = np.round(y)
        else:
            X = self._check_table(X, reset=False)
            pairs = zip(self._labels_of(X), self._codes, strict=True)
            codes = np.array(
                [[known.get(label, -1) for label in labels] for labels, known in pairs]
            )
            codes, numbers, nothing = codes.T, features.encode(X), np.zeros(len(X))
            y, weight, exposure = nothing, nothing, self._exposure_of(X)
            exposure = np.ones(len(X)) if exposure is None else self._exposure_unit * exposure
        numbers = numbers[:, np.argsort(features.places)]
        columns = columns_of(numbers, features.names_out(), features.encoder)
        exposure = exposure / self._rate_unit
        factors = list(zip(names, self._codes, strict=False))
        parts = columns, codes, y, weight, exposure, factors
        return ReportTable(*parts, self.target_type_, self._classes_in_order())


def _parts_of(model: Any, X: Any) -> Any:
    """Return the parts of predictions of a fitted estimator, see `GroupedReports.parts`."""
    numbers, codes, times, exposure = model._query(X)
    known, steps = np.full_like(codes, -1), []

    def add(name: Any, at: np.ndarray) -> None:
        columns = numbers if model.order is None else np.column_stack([numbers[:, :-1], at])
        means = model._means(model._outputs(columns, known, at, exposure))
        steps.append((str(name), means[:, 1] if means.ndim > 1 and is_binary else means))

    is_binary = model._classes_in_order() is not None and len(model.classes_) == 2
    if model.order is not None:
        fitted = model.model_.column_units.restore(model.model_.known.X)[:, -1]
        for time in at_most(np.unique(fitted), _N_TIMES):
            add("shared", np.full(len(times), time))
        steps = [("shared", np.mean([means for _, means in steps], 0))]
    add("shared" if model.order is None else model.order, times)
    for f, name in enumerate(model._names):
        known[:, f] = codes[:, f]
        add(name, times)
    names, means = zip(*steps, strict=True)
    pandas = import_optional("pandas", "parts")
    parts, columns = np.diff(means, axis=0, prepend=0.0), pandas.Index(names, name="part")
    if parts.ndim > 2:
        columns = pandas.MultiIndex.from_product([model.classes_, names], names=["class", "part"])
        parts = parts.transpose(2, 0, 1).reshape(len(columns), -1)
    return pandas.DataFrame(parts.T, index=getattr(X, "index", None), columns=columns)
