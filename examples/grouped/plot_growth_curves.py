"""
What comes next: growth curves
==============================

Fifty chicks are weighed in their first three weeks. ``order`` names the column of times. Later
weighings are predicted from earlier ones, and weighings of new chicks from their first ones.
"""

# %%
# Weighings ahead of all that are known
# -------------------------------------
# All chicks are known up to day 12. The days after that are beyond the times seen: trees cannot go
# there, but curves of the chicks can.

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from skmeta import GroupedRegressor
from skmeta.plotting import GroupTrajectoryDisplay

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
weighings = pd.read_csv(here / "chicks.csv.gz")
X, y = weighings[["chick", "day", "diet"]], weighings["weight"]

seen = X["day"] <= 12
model = GroupedRegressor(groups="chick", order="day").fit(X[seen], y[seen])
print(model.summary_)
chicks = [1, 7, 14, 20, 21, 24, 35, 44]
GroupTrajectoryDisplay.from_estimator(model, X[seen], y[seen], X[~seen], y[~seen], groups=chicks)
plt.show()

# %%
# New chicks, from their first weighings
# --------------------------------------
# Every third chick is new. The growth of the others is known to the end, so the intervals are
# narrower.

new = X["chick"] % 3 == 0
first = new & (X["day"] <= 8)
later = new & ~first
model = GroupedRegressor(groups="chick", order="day").fit(X[~new], y[~new])
model.partial_fit(X[first], y[first])
print("R2 of later weighings:", round(model.score(X[later], y[later]), 2))
GroupTrajectoryDisplay.from_estimator(model, X[first], y[first], X[later], y[later])
plt.show()
