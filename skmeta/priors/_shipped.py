"""Priors that ship with the package, for small tables."""

from functools import cache
from pathlib import Path

from skmeta.exceptions import PriorError
from skmeta.priors._prior import MetaPrior

_FOLDER = Path(__file__).parent / "data"


@cache
def load_table_prior(kind: str) -> MetaPrior:
    """Load the prior that ships for small tables, once per process.

    Its weights, in half precision, are those of an
    :class:`~skmeta.learners.InContextLearner` that ``benchmarks/make_table_priors.py``
    meta-trained on synthetic tables (``benchmarks/synthetic_tables``), then on real tables, too.
    ``prior.provenance`` says how, and names them.

    Parameters
    ----------
    kind : {"classification", "regression"}
        What the new tasks are.

    Returns
    -------
    MetaPrior
        For tables of any number of columns.

    Raises
    ------
    PriorError
        If none ships for tasks of this kind.

    Examples
    --------
    >>> from skmeta.priors import load_table_prior
    >>> load_table_prior("classification").learner
    'InContextLearner'
    """
    path = _FOLDER / f"tables-{kind}.skmeta"
    if not path.exists():
        known = sorted(p.stem.removeprefix("tables-") for p in _FOLDER.glob("tables-*.skmeta"))
        raise PriorError(
            f"No prior ships for {kind} tables, but for: {', '.join(known) or 'none'}. "
            "Meta-train one with InContextLearner, or leave prior out."
        )
    return MetaPrior.load(path)
