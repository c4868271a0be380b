"""Figures of README: twenty penguins, and chicks that were never weighed, beside plain models.

    python -m benchmarks.measure.readme --seeds 50

R2 of each draw. Plain models stand behind one-hot columns and imputation, and are tuned by
cross-validation on the same rows where they have a penalty or a smallest leaf. README names the one
that is best over all draws, with a 95% interval of the mean difference, by draw.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.lib.resumable import RESULTS, run_or_summarize
from skmeta import GroupedRegressor, MetaFewShotRegressor

EXAMPLES = RESULTS.parents[1] / "examples"
PATH = RESULTS / "readme.jsonl"
N_KNOWN, N_NEW, LAST_DAY = 20, 16, 8
PLAIN = {
    "ridge, default": Ridge(),
    "ridge, tuned": RidgeCV(np.logspace(-3, 3, 13)),
    "forest": RandomForestRegressor(random_state=0),
    "boosting": GridSearchCV(
        HistGradientBoostingRegressor(random_state=0), {"min_samples_leaf": [2, 5, 10, 20]}
    ),
}


def cells(seeds: Any) -> list[tuple[str, int]]:
    return [(table, seed) for seed in seeds for table in ("penguins", "chicks")]


def run(cell: tuple[str, int]) -> dict[str, Any]:
    table, seed = cell
    scores = penguins(seed) if table == "penguins" else chicks(seed)
    return {"cell": list(cell), **{name: round(float(score), 5) for name, score in scores.items()}}


def penguins(seed: int) -> dict[str, float]:
    """Return R2 for the other penguins, of the draw of README with this number."""
    table = pd.read_csv(EXAMPLES / "tables/penguins.csv.gz")
    X, y = table.drop(columns="body_mass"), table["body_mass"]
    few, rest = list(ShuffleSplit(seed + 1, train_size=N_KNOWN, random_state=0).split(X))[seed]
    front = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["species", "island", "sex"]),
        remainder=make_pipeline(SimpleImputer(), StandardScaler()),
    )
    models = {n: make_pipeline(front, clone(model)) for n, model in PLAIN.items()}
    models["skmeta"] = MetaFewShotRegressor()
    return {
        name: model.fit(X.iloc[few], y.iloc[few]).score(X.iloc[rest], y.iloc[rest])
        for name, model in models.items()
    }


def chicks(seed: int) -> dict[str, float]:
    """Return R2 of the weighings after day 8 of new chicks, before and after the first five."""
    table = pd.read_csv(EXAMPLES / "grouped/chicks.csv.gz")
    X, y = table[["chick", "day", "diet"]], table["weight"]
    drawn = np.random.default_rng(seed).permutation(X["chick"].unique())[:N_NEW]
    new = X["chick"].isin(drawn)
    known = new & (X["day"] <= LAST_DAY)
    later = new & ~known
    grouped = GroupedRegressor(groups="chick", order="day").fit(X[~new], y[~new])
    scores = {"skmeta": grouped.score(X[later], y[later])}
    grouped.partial_fit(X[known], y[known])
    scores["skmeta, five known"] = grouped.score(X[later], y[later])
    front = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["chick", "diet"]),
        remainder=StandardScaler(),
        sparse_threshold=0,
    )
    for name, model in PLAIN.items():
        for suffix, rows in (("", ~new), (", five known", ~later)):
            fitted = make_pipeline(front, clone(model)).fit(X[rows], y[rows])
            scores[name + suffix] = fitted.score(X[later], y[later])
    return scores


def summarize(lines: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Return means of R2, and the mean difference to the best plain model with its interval."""
    summary = {}
    for table, suffix in (("penguins", ""), ("chicks", ""), ("chicks", ", five known")):
        own = [line for cell, line in lines.items() if cell[0] == table]
        R2 = {n: np.array([line[n + suffix] for line in own]) for n in ("skmeta", *PLAIN)}
        best = max(PLAIN, key=lambda name: R2[name].mean())
        gain = R2["skmeta"] - R2[best]
        summary[table + suffix] = {
            "draws": len(own),
            **{name: round(float(values.mean()), 3) for name, values in R2.items()},
            "best plain model": best,
            "gain": round(float(gain.mean()), 3),
            "half of the interval": round(float(1.96 * gain.std(ddof=1) / len(gain) ** 0.5), 3),
            "ahead in": int((gain > 0).sum()),
        }
    return summary


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, PATH)
