"""Whether data have the features that a prior was meta-trained on."""

from collections.abc import Sequence

from skmeta._validation import count, quote_some
from skmeta.exceptions import PriorError


def check_features(
    n_expected: int | None,
    expected: Sequence[str] | None,
    n_given: int,
    given: Sequence[str] | None,
) -> None:
    """Compare number, names and order of features; None matches anything.

    Parameters
    ----------
    n_expected : int or None
        Number of features in meta-training.
    expected : sequence of str of length n_expected, or None
        Their names.
    n_given : int
        Number of features of the data.
    given : sequence of str of length n_given, or None
        Their names.

    Raises
    ------
    PriorError
        If they differ.
    """
    if n_expected is not None and n_given != n_expected:
        raise PriorError(
            f"X has {count(n_given, 'features')}, but the prior was meta-trained on "
            f"{count(n_expected, 'features')}. Give data with the same features, or meta-train a "
            "prior on data with these."
        )
    if expected is None or given is None or list(expected) == list(map(str, given)):
        return
    names = list(map(str, given))
    unseen = [name for name in names if name not in set(expected)]
    missing = [name for name in expected if name not in set(names)]
    found = f" Unseen in meta-training: {quote_some(unseen, 5)}." if unseen else ""
    found += f" Missing now: {quote_some(missing, 5)}." if missing else ""
    raise PriorError(
        "The feature names should match those that the prior was meta-trained on."
        f"{found or ' Their order differs.'} Rename or reorder the columns of X, or give "
        "X without names."
    )
