"""
Monthly panels: shops with a season
===================================

Thirty shops have monthly sales for four years, and one opened four months ago. ``order`` names the
column of dates. The season comes from the calendar: of all shops, and of each.
"""

# %%
# A family of short series
# ------------------------
# The sales are drawn: a level, a season and a random walk for each shop, multiplied. Seasons of
# shops are alike, but not equal.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmeta import GroupedRegressor

rng = np.random.default_rng(0)
dates = pd.date_range("2021-01-01", periods=60, freq="MS")
december, summer = np.arange(12) == 11, np.sin(2 * np.pi * (np.arange(12) - 3) / 12)
season = 0.5 * december + 0.2 * summer + 0.08 * rng.normal(size=(31, 12))
walk = 0.04 * rng.normal(size=(31, 60)).cumsum(1) + 0.03 * rng.normal(size=(31, 60))
sales = np.exp(5 + rng.normal(size=(31, 1)) + np.tile(season, 5) + walk)
shops = [f"shop {k}" for k in range(30)] + ["new shop"]
table = pd.DataFrame({"shop": np.repeat(shops, 60), "month": np.tile(dates, 31)})
table["sales"] = sales.ravel()

# %%
# The last year is to be predicted
# --------------------------------

is_later = table["month"] >= "2025-01-01"
is_open = (table["shop"] != "new shop") | (table["month"] >= "2024-09-01")
known, later = table[is_open & ~is_later], table[is_later]
columns = ["shop", "month"]

model = GroupedRegressor(groups="shop", order="month").fit(known[columns], known["sales"])
print(model.summary_)
error = (later["sales"] - model.predict(later[columns])).abs()
a_year_ago = table["sales"].shift(12)[is_later]
old = later["shop"] != "new shop"
print("mean absolute error, known shops:", round(error[old].mean(), 1))
print("of the same month a year ago:", round((later["sales"] - a_year_ago)[old].abs().mean(), 1))
print("mean absolute error, new shop:", round(error[~old].mean(), 1))

# %%
# Four shops, the new one among them
# ----------------------------------
# The new shop has the December of all others before its first own one.

fig, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, layout="constrained")
for ax, shop in zip(axes.flat, ["shop 0", "shop 1", "shop 2", "new shop"], strict=True):
    past, future = (part[part["shop"] == shop] for part in (known, later))
    low, middle, high = model.predict_quantiles(future[columns]).T
    ax.plot(past["month"], past["sales"], "k.-", lw=0.7, ms=3)
    ax.plot(future["month"], future["sales"], "ko", ms=3, mfc="w", label="to come")
    ax.plot(future["month"], middle, "C0", label="predicted")
    ax.fill_between(future["month"], low, high, color="C0", alpha=0.2, label="90 % interval")
    before = table[(table["shop"] == shop)].set_index("month")["sales"].shift(12)
    is_known = is_open[table["shop"] == shop].to_numpy()
    naive = before.where(np.roll(is_known, 12)).loc["2025-01-01":]
    ax.plot(naive.index, naive, "C1--", lw=1, label="a year ago")
    ax.set_title(shop)
axes[1, 1].legend(fontsize=8, loc="upper left")
axes[0, 0].set_ylabel("sales")
plt.show()
