"""Methods that add configurations that were measured elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryFormatError, HistoryWarning
from skmeta.search.history import _importers, _measurements, _queries
from skmeta.search.history._reader import HistoryReader
from skmeta.search.record import RecordedSearch


class AddMethods(HistoryReader):
    """Methods that add configurations that were measured elsewhere."""

    def add(
        self,
        estimator: Any,
        params: Sequence[Mapping[str, Any]],
        scores: Any,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        scoring: str | None = None,
        greater_is_better: bool | Mapping[str, bool] | None = None,
    ) -> Self:
        """Add configurations that were measured elsewhere, as one past search.

        Configurations of the same estimator, data set and metrics belong to one search, even if
        they are added in parts. A configuration that is there already is left as it is.

        Parameters
        ----------
        estimator : estimator
            The estimator that was configured.
        params : sequence of dict
            Parameters of each configuration, as for ``set_params``.
        scores : array-like of shape (n_candidates,) or (n_candidates, n_folds), or dict of those
            Test scores, NaN if a fit failed. A dict has them by metric.
        dataset : str, optional
            Name of the data set. It can be left out if X is given.
        X, y : array-like, optional
            The data set. Its fingerprint is kept, but no rows.
        scoring : str, optional
            The metric, by default ``"score"``. If there are several, the one that was maximised.
        greater_is_better : bool or dict of str -> bool, optional
            It is required for metrics that are not scorers of scikit-learn.

        Returns
        -------
        self : SearchHistory

        Warns
        -----
        HistoryWarning
            If a configuration is there already with other scores.

        Examples
        --------
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> history = SearchHistory()
        >>> history = history.add(
        ...     SVC(),
        ...     [{"C": 1.0}, {"C": 10.0}],
        ...     [[0.81, 0.79], [0.92, 0.88]],
        ...     dataset="iris",
        ...     scoring="accuracy",
        ... )
        >>> history.searches(metric="accuracy")[0].scores
        array([0.8, 0.9])
        """
        measured = _measurements.measurements(
            params, scores, scoring=scoring, greater_is_better=greater_is_better
        )
        return self._add(_importers.make_search(estimator, dataset, X, y, measured))

    def add_cv_results(
        self,
        search: Any,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        scoring: str | None = None,
    ) -> Self:
        """Add a finished search of scikit-learn.

        Parameters
        ----------
        search : fitted search
            A ``GridSearchCV``, ``RandomizedSearchCV`` or similar. Of a halving search, only
            candidates that were scored with the most resources are added.
        dataset, X, y
            As for `add`.
        scoring : str, optional
            The metric; by default that of the search, if its ``scoring`` or ``refit`` is a name.

        Returns
        -------
        self : SearchHistory

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import GridSearchCV
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> X, y = load_iris(return_X_y=True)
        >>> search = GridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}).fit(X, y)
        >>> history = SearchHistory().add_cv_results(search, dataset="iris", X=X, y=y)
        >>> len(history.to_frame())
        3
        """
        if not hasattr(search, "cv_results_"):
            raise HistoryFormatError(
                f"add_cv_results needs a fitted search, such as GridSearchCV, got {search!r:.100}. "
                "Scores from elsewhere are added with add(estimator, params, scores)."
            )
        measured = _measurements.measurements_of_search(search, scoring)
        return self._add(_importers.make_search(search.estimator, dataset, X, y, measured))

    def add_optuna(
        self,
        study: Any,
        estimator: Any,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        scoring: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Self:
        """Add the finished trials of a study of Optuna. Pruned trials are left out.

        Parameters
        ----------
        study : optuna.study.Study
            The study, with one objective. Whether greater values are better follows from its
            direction.
        estimator : estimator
            The estimator that was configured.
        dataset, X, y
            As for `add`.
        scoring : str, optional
            Name of the objective's metric, by default ``"score"``.
        names : dict of str -> str, optional
            Name of a parameter in the study -> its name in the estimator, if they differ:
            ``{"c": "svc__C"}``.

        Returns
        -------
        self : SearchHistory

        Examples
        --------
        >>> import optuna
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(direction="maximize")
        >>> study.optimize(lambda trial: -abs(trial.suggest_float("c", 1, 9) - 5), n_trials=4)
        >>> history = SearchHistory().add_optuna(study, SVC(), dataset="iris", names={"c": "C"})
        >>> len(history.to_frame())
        4
        """
        measured = _measurements.measurements_of_study(study, names=names, scoring=scoring)
        return self._add(_importers.make_search(estimator, dataset, X, y, measured))

    def _add(self, item: RecordedSearch) -> Self:
        def work(connection: Any) -> int:
            search_id = _queries.ensure_search(connection, item.record, item.started)
            known, _ = _queries.read_candidates(connection, search_id)
            before = {one.key: repr(one.scores) for one in known}  # NaN is not equal to itself
            _queries.merge_search(connection, item)
            scores = [(before.get(one.key), repr(one.scores)) for one in item.candidates]
            return sum(old is not None and old != new for old, new in scores)

        n_changed = self._store.run(work, write=True)
        if n_changed:
            warn_caller(
                f"{n_changed} configurations were measured before on {item.record.dataset_label!r},"
                " with other scores, which are kept. To replace them, call remove(dataset) first. "
                "To keep both, give another dataset=.",
                HistoryWarning,
            )
        return self
