"""The rows of a grouped estimator, as reports of columns need them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta.reporting import ContrastMixin, Rows, columns_of


class GroupedReports(ContrastMixin):
    """Gives grouped estimators their reports."""

    def _rows_to_report(self: Any, X: Any) -> Rows:
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
            if self.target_kind_ == "count":
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
        labels = [sorted(known, key=known.__getitem__) for known in self._codes]
        factors = list(zip(names, labels, strict=False))
        parts = columns, codes, y, weight, exposure, factors
        return Rows(*parts, self.target_kind_, self._classes_in_order())
