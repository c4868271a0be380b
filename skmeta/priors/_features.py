"""Whether data have the features that a prior was meta-trained on."""

from collections.abc import Sequence

from skmeta._validation import count
from skmeta.exceptions import PriorError

_MAX_NAMES_SHOWN = 5


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
    lines = ["The feature names should match those that the prior was meta-trained on."]
    unseen = [name for name in names if name not in set(expected)]
    missing = [name for name in expected if name not in set(names)]
    if unseen:
        lines += ["Feature names unseen in meta-training:", *_listed(unseen)]
    if missing:
        lines += ["Feature names seen in meta-training, yet now missing:", *_listed(missing)]
    if not unseen and not missing:
        lines += ["Feature names must be in the same order as in meta-training."]
    lines += ["Rename or reorder the columns of X, or give X without names."]
    raise PriorError("\n".join(lines))


def _listed(names: Sequence[str]) -> list[str]:
    lines = [f"- {name}" for name in names[:_MAX_NAMES_SHOWN]]
    return lines + ["- ..."] * (len(names) > _MAX_NAMES_SHOWN)
