"""Mix what a network predicts in several views; of arrays or tensors.

Notation: e views, m rows, c classes, o outputs: one per code of classes, or one per bin of the
target's distribution.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skmeta._optional import module_of
from skmeta._tabular.table_prior._arithmetic import NEVER, special_of
from skmeta._tabular.table_prior._cells import N_CODES

# The least log probability of a view that counts.
_MIN_LOG_PROBABILITY = -20.0


def mix_classes(outputs: Any, codes: Any, present: Any, seen: Any, is_wide: bool) -> Any:
    """Return log probabilities (m, c) of classes; not normalised with more than 10 classes.

    Views have `outputs` (e, m, o) and `codes` (e, c) of classes; `present` (e, 10) says which codes
    occur, and `seen` (c,) which classes have rows. Views of a wide table have different columns.
    """
    xp, special, (e, c) = module_of(outputs), special_of(outputs), codes.shape
    code_log_p = special.log_softmax(xp.where(present[:, None], outputs, NEVER), 2)
    each = (log_p[:, code] for log_p, code in zip(code_log_p, codes, strict=True))
    if c > N_CODES:
        # Each view predicts one digit of a class; a class has log c / log 10 digits.
        mean = sum(each) * (np.log(c) / np.log(N_CODES) / e)
    elif is_wide:
        # Each view adds to what the others know.
        mean = xp.clip(xp.stack(list(each)), _MIN_LOG_PROBABILITY, None).mean(0)
        return special.log_softmax(xp.where(seen, mean, NEVER), 1)
    else:
        mean = special.logsumexp(xp.stack(list(each)), 0) - np.log(e)
    return xp.where(seen, mean, NEVER)


def mix_bins(outputs: Any, is_constant: Any) -> Any:
    """Return log probabilities (m, o) of bins by views (e, m, o)."""
    xp, special = module_of(outputs), special_of(outputs)
    own = special.logsumexp(special.log_softmax(outputs, 2), 0) - np.log(len(outputs))
    # If all known targets are equal, nothing says whether others are above or below them.
    mirrored = xp.logaddexp(own, xp.flip(own, (-1,))) - np.log(2)
    return xp.where(is_constant, mirrored, own)
