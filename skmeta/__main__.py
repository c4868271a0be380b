"""Histories and search priors from the command line: ``skmeta --help``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skmeta._files import skmeta_version
from skmeta._validation import count, suggest
from skmeta.exceptions import FileFormatError, HistoryError, PriorError
from skmeta.search import SearchHistory, SearchPrior, shipped_priors
from skmeta.search.history import mask_password

_EXPECTED = (HistoryError, FileFormatError, PriorError, ImportError, OSError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (by default that of the process); return 0, or 1 if it failed."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except _EXPECTED as error:
        print(f"skmeta: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skmeta", description="Histories of searches, and priors learned from them."
    )
    parser.add_argument("--version", action="version", version=f"skmeta {skmeta_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    history: Any = commands.add_parser("history", help="show and merge histories of searches")
    history = history.add_subparsers(required=True, metavar="COMMAND")
    prior: Any = commands.add_parser("prior", help="build and describe priors of searches")
    prior = prior.add_subparsers(required=True, metavar="COMMAND")
    place: Any = {"metavar": "HISTORY", "help": "path, or SQLAlchemy URL"}

    show = history.add_parser("show", help="show what a history holds")
    show.add_argument("history", **place)
    show.set_defaults(run=_show)
    merge = history.add_parser("merge", help="add the searches of other histories, or copy one")
    merge.add_argument("history", **place)
    merge.add_argument("sources", nargs="+", **place)
    merge.set_defaults(run=_merge)
    build = prior.add_parser("build", help="learn a prior from a history")
    build.add_argument("history", **place)
    build.add_argument("target", metavar="FILE", help="the file to write, such as svc.prior")
    build.add_argument("--estimator", required=True, help="class of the estimator, such as SVC")
    build.add_argument("--metric", required=True, help="name of the metric, such as accuracy")
    build.set_defaults(run=_build)
    describe = prior.add_parser("describe", help="describe a prior; list those that ship")
    describe.add_argument("name", metavar="NAME", nargs="?", help="an estimator's class, or a file")
    describe.set_defaults(run=_describe)
    return parser


def _show(options: argparse.Namespace) -> None:
    with SearchHistory(options.history, mode="read") as history:
        print(history.describe())


def _merge(options: argparse.Namespace) -> None:
    with SearchHistory(options.history) as history:
        for source in options.sources:
            before = len(history)
            history.merge(source)
            added = count(len(history) - before, "searches")
            print(f"Added {added} of {mask_password(source)}.")


def _build(options: argparse.Namespace) -> None:
    estimator, metric = options.estimator, options.metric
    with SearchHistory(options.history, mode="read") as history:
        searches = history.searches(estimator=estimator, metric=metric)
        # A search that did not record the metric has the scores of another one.
        recorded = [search for search in searches if search.metric == metric]
        if searches and not recorded:
            classes = set(estimator.split("|"))
            records = [s.record for s in history if classes & {*s.record.estimator.split("|")}]
            names = sorted({name for record in records for name in record.metrics})
            raise ValueError(
                f"{mask_password(options.history)} has searches of {estimator}, but none is scored "
                f"by {metric!r}.{suggest(metric, names)} Metrics on record: {', '.join(names)}."
            )
        prior = SearchPrior.from_searches(recorded)
        if not len(prior):
            raise ValueError(
                f"{mask_password(options.history)} has no search of {estimator} scored by {metric} "
                f"from which something can be learned. It holds:\n{history.describe()}"
            )
    prior.save(options.target)
    print(f"Wrote {prior} to {options.target}.")


def _describe(options: argparse.Namespace) -> None:
    if options.name is None:
        print("\n".join(shipped_priors()))
    elif Path(options.name).is_file():
        prior = SearchPrior.load(options.name)
        print(f"{prior} of {', '.join(prior.estimators)}, on {', '.join(prior.datasets)}")
    elif options.name in shipped_priors():
        print(shipped_priors()[options.name])
    else:
        raise ValueError(
            f"No prior ships for {options.name!r}. There is one for: {', '.join(shipped_priors())}."
        )


if __name__ == "__main__":
    sys.exit(main())
