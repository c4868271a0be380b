"""Tables whose mixed models are published, and those models fitted by R.

The package ``mixedbench`` lists models that were published with tables of R packages; R has the
tables (Debian: ``apt install r-base-core r-cran-lme4 r-cran-ordinal r-cran-hsaur3``). A table has
the columns that its formula names, and its columns of groups; the target is the left side of the
formula. The first column of groups is the one whose groups are held out.
"""

import hashlib
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lib import time_tables

# Tables of other packages are oracles of estimates, not for choices.
SOURCES = ("nlme", "MASS", "HSAUR3")
FEWEST_ROWS, MOST_ROWS = 20, 300
KINDS = ("continuous", "count", "binary", "ordinal")


class Published(NamedTuple):
    """A table: columns X with those of groups, which `factors` names, and what was published."""

    name: str
    kind: str  # of the target, one of KINDS
    X: pd.DataFrame
    y: np.ndarray  # numbers, or codes of classes
    factors: list[str]
    formula: str
    rows: np.ndarray  # of R's table, from 1


def half_of(name: str) -> str:
    """Return "development" or "report"; what another benchmark reports is for reports here too."""
    item = name.split("/")[0]
    elsewhere = {s.item: time_tables.half_of(n) for n, s in time_tables.FRESH.items()}
    if elsewhere.get(item, "development") != "development":
        return "report"
    # Tables of one study end in digits.
    digest = hashlib.sha256(item.rstrip("0123456789").encode()).hexdigest()
    return "report" if int(digest, 16) % 2 else "development"


@cache
def registry() -> pd.DataFrame:
    """Read the models of the registry, by name: ``package::item/number``."""
    import mixedbench

    files = Path(mixedbench.__file__).parent / "registry" / "files"
    rows, sizes = (
        pd.read_csv(files / f"{file}.csv", dtype=str, keep_default_na=False)
        for file in ("registry", "dimensions")
    )
    keys = ["source", "object", "model_index"]
    rows = rows.merge(sizes[[*keys, "n_obs"]].drop_duplicates(keys), how="left", on=keys)
    rows = rows[rows["source"].isin(SOURCES) & rows["response_type"].isin(KINDS)]
    names = rows["source"] + "::" + rows["object"] + "/" + rows["model_index"]
    # One model per target of a table.
    return rows.set_index(names)[~rows.duplicated(["object", "response"]).to_numpy()]


def table_names() -> list[str]:
    """Names of the tables that have 20 to 300 rows."""
    return [*registry().index[registry()["n_obs"].astype(int).between(FEWEST_ROWS, MOST_ROWS)]]


@cache
def load(name: str) -> Published:
    """Read a table as R has it: numbers, and categories."""
    row = registry().loc[name]
    with tempfile.TemporaryDirectory() as folder:
        _ask_r("table", *_item(name), folder)
        kinds = pd.read_csv(Path(folder) / "kinds.csv", index_col="column")["kind"]
        text = pd.read_csv(Path(folder) / "table.csv", dtype=str, keep_default_na=False)
    frame = pd.DataFrame(index=text.index)
    for column, kind in kinds.items():
        values = text[column].where(text[column] != "")
        frame[column] = values.astype(float) if kind == "number" else values
    for column in re.findall(r"(\S+)=(?:categorical|ordered)", row["types"].replace(";", " ")):
        frame[column] = text[column].where(text[column] != "")
    factors = row["grouping_factors"].split(";")
    columns = [c for c in row["covariates"].split(";") if c and c not in factors]
    X = frame[columns].copy()
    for factor in factors:
        X[factor] = text[factor.split(":")].agg("/".join, axis=1)
    y = frame[row["response"]]
    kept = y.notna().to_numpy()
    if row["response_type"] in ("binary", "ordinal"):
        y = pd.Series(np.unique(text[row["response"]][kept], return_inverse=True)[1])
    else:
        y = y[kept]
        y = np.log(y) if row["formula"].startswith("log(") else y
    X, rows = X[kept].reset_index(drop=True), np.flatnonzero(kept) + 1
    kind = row["response_type"]
    return Published(name, kind, X, y.to_numpy(), factors, row["formula"], rows)


def predict_published(table: Published, cases: list[tuple[np.ndarray, np.ndarray]]) -> list:
    """Predict the last rows of each case by the published model of its first; None if it fails."""
    rows = [
        pd.DataFrame({"case": k, "row": table.rows[part], "part": name})
        for k, case in enumerate(cases)
        for name, part in zip(("train", "test"), case, strict=True)
    ]
    package, item = _item(table.name)
    formula = table.formula
    if table.kind == "ordinal":
        formula = f"factor({formula.replace(' ~', ') ~', 1)}"
    with tempfile.TemporaryDirectory() as folder:
        pd.concat(rows).to_csv(Path(folder) / "cases.csv", index=False)
        _ask_r("fit", package, item, folder, table.kind, formula)
        predicted = pd.read_csv(Path(folder) / "predictions.csv")
    if "case" not in predicted:
        return [None] * len(cases)
    predictions: list[np.ndarray | None] = []
    for k in range(len(cases)):
        values = predicted[predicted["case"] == k].iloc[:, 2:].to_numpy()
        values = np.column_stack([1 - values, values]) if table.kind == "binary" else values
        values = values if table.kind in ("binary", "ordinal") else values.ravel()
        predictions.append(values if len(values) and np.isfinite(values).all() else None)
    return predictions


def _item(name: str) -> tuple[str, str]:
    package, item = name.split("/")[0].split("::")
    return package, item


@cache
def _session() -> subprocess.Popen[str]:
    """Start R once: its packages take seconds."""
    script = str(Path(__file__).with_suffix(".R"))
    pipe = subprocess.PIPE
    return subprocess.Popen(["Rscript", script], stdin=pipe, stdout=pipe, text=True)


def _ask_r(*request: str) -> None:
    """Have R do what a request says; see ``published.R``."""
    session = _session()
    print(*request, sep="\t", file=session.stdin, flush=True)
    told = session.stdout.readline().strip()
    if told != "done":
        raise RuntimeError(f"R cannot do {request}: {told}")
