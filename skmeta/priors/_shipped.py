"""Priors that ship with the package, for small tables."""

from skmeta.exceptions import PriorError
from skmeta.priors._file import load_packaged, packaged_names
from skmeta.priors._prior import MetaPrior


def load_table_prior(kind: str) -> MetaPrior:
    """Load the prior that ships for small tables, once per process.

    Its weights, in half precision, are those of an
    :class:`~skmeta.learners.InContextLearner` that ``benchmarks/make/table_priors.py``
    meta-trained on synthetic tables (``benchmarks/make/synthetic_tables``), then on real tables,
    too. ``prior.provenance`` says how, and names them.

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
    name, names = f"tables-{kind}", packaged_names()
    if name not in names:
        known = ", ".join(each.removeprefix("tables-") for each in names)
        raise PriorError(
            f"No prior ships for {kind} tables, but for: {known or 'none'}. "
            "Meta-train one with InContextLearner, or leave prior out."
        )
    prior: MetaPrior = load_packaged(MetaPrior, name)
    return prior
