"""Weighings of chicks that were never weighed: README's example, in more divisions.

    python -m benchmarks.measure.chicks --draws 12

A third of the chicks is new in each division. R2 of their weighings after day 8, and of all of
them, beside a ridge regression of the day and the diet.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.lib.resumable import read_options
from skmeta import GroupedRegressor

TABLE = Path(__file__).parents[2] / "examples" / "grouped" / "chicks.csv.gz"
N_NEW, LAST_DAY = 16, 8


def main() -> None:
    n_draws, scores = read_options(__doc__, draws=12).draws, []
    warnings.simplefilter("ignore")
    table = pd.read_csv(TABLE)
    X, y = table[["chick", "day", "diet"]], table["weight"]
    Z = pd.get_dummies(X.drop(columns="chick"), columns=["diet"], dtype=float)
    for seed in range(n_draws):
        chicks = np.random.default_rng(seed).permutation(X["chick"].unique())[:N_NEW]
        new = X["chick"].isin(chicks)
        later = new & (X["day"] > LAST_DAY)
        model = GroupedRegressor(groups="chick", order="day").fit(X[~new], y[~new])
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
        ridge.fit(Z[~new], y[~new])
        scores.append(
            [
                r2_score(y[rows], predicted)
                for rows in (later, new)
                for predicted in (model.predict(X[rows]), ridge.predict(Z[rows]))
            ]
        )
    by_draw = np.array(scores)
    for name, ours, theirs in (("later", *by_draw.T[:2]), ("all", *by_draw.T[2:])):
        ahead = int((ours > theirs).sum())
        print(f"{name}: grouped {ours.mean():.3f}, ridge {theirs.mean():.3f}, ahead in {ahead}")


if __name__ == "__main__":
    main()
