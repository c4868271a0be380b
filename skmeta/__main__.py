"""Histories and search priors from the command line: ``python -m skmeta --help``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from skmeta.exceptions import HistoryError, HistoryFormatError, PriorFormatError
from skmeta.search import (
    ReadOnlyHistory,
    SearchHistory,
    SearchPrior,
    describe_prior,
    shipped_priors,
)

__all__ = ["main"]

_EXPECTED = (HistoryError, HistoryFormatError, PriorFormatError, ImportError, OSError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 1 where the command failed.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except _EXPECTED as error:
        print(f"skmeta: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skmeta", description="Histories of searches, and priors learned from them."
    )
    groups = parser.add_subparsers(required=True, metavar="COMMAND")
    of_history = _group(groups, "history", "show, copy and merge histories of searches")
    of_prior = _group(groups, "prior", "build and describe priors of searches")

    _command(of_history, "show", _show, "say what a history holds")
    export = _command(of_history, "export", _export, "write a history to a file to pass on")
    export.add_argument("target", metavar="FILE", help=".jsonl, .jsonl.gz or .parquet")
    load = _command(of_history, "import", _merge, "add the searches of exported files")
    load.add_argument("sources", metavar="FILE", nargs="+", help="what export wrote")
    merge = _command(of_history, "merge", _merge, "add the searches of other histories")
    merge.add_argument("sources", metavar="OTHER", nargs="+", help="path, or SQLAlchemy URL")

    build = _command(of_prior, "build", _build, "learn a prior from a history")
    build.add_argument("target", metavar="FILE", help="the file to write, such as svc.safetensors")
    build.add_argument("--estimator", required=True, help="class of the estimator, such as SVC")
    build.add_argument("--metric", required=True, help="name of the metric, such as accuracy")
    describe = _command(
        of_prior, "describe", _describe, "describe a prior; list those that ship", history=False
    )
    describe.add_argument("name", metavar="NAME", nargs="?", help="an estimator's class, or a file")
    return parser


def _group(groups: Any, name: str, text: str) -> Any:
    parser = groups.add_parser(name, help=text, description=_sentence(text))
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
    history: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=_sentence(text)
    )
    parser.set_defaults(run=run)
    if history:
        parser.add_argument("history", metavar="HISTORY", help="path, or SQLAlchemy URL")
    return parser


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _show(options: argparse.Namespace) -> None:
    with ReadOnlyHistory(options.history) as history:
        print(history.describe())


def _export(options: argparse.Namespace) -> None:
    with ReadOnlyHistory(options.history) as history:
        history.export(options.target)
        print(f"Wrote {len(history)} searches to {options.target}.")


def _merge(options: argparse.Namespace) -> None:
    with SearchHistory(options.history) as history:
        for source in options.sources:
            before = len(history)
            history.merge(source)
            print(f"Added {len(history) - before} searches of {source}.")


def _build(options: argparse.Namespace) -> None:
    with ReadOnlyHistory(options.history) as history:
        searches = history.searches(estimator=options.estimator, metric=options.metric)
        prior = SearchPrior.from_searches(searches)
        if not len(prior):
            raise ValueError(
                f"{options.history} has no search of {options.estimator} scored by "
                f"{options.metric} from which something can be learned. It holds:\n"
                f"{history.describe()}"
            )
    prior.save(options.target)
    print(f"Wrote {prior} to {options.target}.")


def _describe(options: argparse.Namespace) -> None:
    if options.name is None:
        print("\n".join(shipped_priors()))
    elif Path(options.name).is_file():
        prior = SearchPrior.load(options.name)
        print(f"{prior} of {', '.join(prior.estimators)}, on {', '.join(prior.datasets)}")
    else:
        print(describe_prior(options.name))


if __name__ == "__main__":
    sys.exit(main())
