"""A limit on boosting rounds: not the number itself, which early stopping finds."""

# Value of the number of rounds in the configurations of searches with early stopping. It is a kind
# of its own, so that priors tell it from any fixed number.
EARLY_STOPPING = "early stopping"


class RoundLimit(int):
    """Largest number of boosting rounds of an estimator that stops early.

    Estimators take it as the integer that it is. In a configuration it is ``"early stopping"``.
    """

    def __deepcopy__(self, memo: object) -> "RoundLimit":
        # Copies are the same object, as for other integers: scikit-learn's clone checks that.
        return self
