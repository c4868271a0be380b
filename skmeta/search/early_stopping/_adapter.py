"""What the search needs to know of an estimator that can stop early."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, NamedTuple

# Rounds without improvement after which fits stop, unless the estimator has its own number. As in
# Grinsztajn, Oyallon & Varoquaux (2022), "Why do tree-based models still outperform deep learning
# on typical tabular data?", Appendix.
_PATIENCE = 20
# Most rounds of an estimator whose number of rounds is the default of its class.
_MOST_ROUNDS = 1000


class HeldRows(NamedTuple):
    """Rows on which early stopping computes the loss.

    Attributes
    ----------
    X, y : array-like
    sample_weight : array-like or None
    """

    X: Any
    y: Any
    sample_weight: Any


class Adapter(ABC):
    """How the estimators of one library stop early.

    Attributes
    ----------
    rounds_names : tuple of str
        Names of the parameter for the number of rounds, the usual one first.
    patience_names : tuple of str
        Names of the parameter for the number of rounds without improvement.
    """

    rounds_names: ClassVar[tuple[str, ...]]
    patience_names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
        """Fit until the loss on held rows does not improve any more.

        Parameters
        ----------
        estimator : estimator
        X, y : array-like
            Rows to fit on.
        held : HeldRows
        params : dict
            Parameters of ``fit``.

        Returns
        -------
        n_rounds : int
            Number of rounds that was found.
        """

    @abstractmethod
    def without(self, estimator: Any) -> dict[str, Any]:
        """Return the parameters to set, so that the estimator makes all of its rounds."""

    def obstacle(self, estimator: Any) -> str | None:
        """Return why this estimator cannot stop early; None if it can."""
        return None

    def rounds_name(self, estimator: Any) -> str:
        """Return the name under which an estimator has its number of rounds."""
        set_names = [n for n in self.rounds_names if estimator.get_params().get(n) is not None]
        return set_names[0] if set_names else self.rounds_names[0]

    def round_limit(self, estimator: Any) -> int:
        """Return the largest number of rounds: the estimator's own, or 1,000 if it has none."""
        name = self.rounds_name(estimator)
        own = estimator.get_params().get(name)
        declared = signature(type(estimator)).parameters.get(name)
        is_default = own is None or (declared is not None and own == declared.default)
        return _MOST_ROUNDS if is_default else int(own)

    def patience(self, estimator: Any) -> int:
        """Return the number of rounds without improvement after which fits stop."""
        params = estimator.get_params()
        own = [params[n] for n in self.patience_names if params.get(n) is not None]
        return int(own[0]) if own else _PATIENCE

    def set_to_none(self, estimator: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """Return None for those parameters that the estimator has set."""
        params = estimator.get_params()
        return {name: None for name in names if params.get(name) is not None}
