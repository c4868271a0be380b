"""
Monthly panels: shops with a season
===================================

Thirty shops have monthly sales for four years, and five opened four months ago. ``order`` names the
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
from sklearn.model_selection import cross_val_score
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from skmeta import GroupedRegressor
from skmeta.tasks import LaterRowsSplit

rng = np.random.default_rng(0)
dates = pd.date_range("2021-01-01", periods=60, freq="MS")
december, summer = np.arange(12) == 11, np.sin(2 * np.pi * (np.arange(12) - 3) / 12)
season = 0.5 * december + 0.2 * summer + 0.08 * rng.normal(size=(35, 12))
walk = 0.04 * rng.normal(size=(35, 60)).cumsum(1) + 0.03 * rng.normal(size=(35, 60))
sales = np.exp(5 + rng.normal(size=(35, 1)) + np.tile(season, 5) + walk)
shops = [f"shop {k}" for k in range(30)] + [f"new shop {k}" for k in range(5)]
table = pd.DataFrame({"shop": np.repeat(shops, 60), "month": np.tile(dates, 35)})
table["sales"] = sales.ravel()

# %%
# The last year is to be predicted
# --------------------------------

is_later = table["month"] >= "2025-01-01"
is_new = table["shop"].str.startswith("new")
known = table[~is_later & (~is_new | (table["month"] >= "2024-09-01"))]
later, columns = table[is_later], ["shop", "month"]

model = GroupedRegressor(groups="shop", order="month").fit(known[columns], known["sales"])
print(model.summary_)

# %%
# Forecasters of one series at a time
# -----------------------------------
# They are the month a year ago, or the last one without such, and exponential smoothing (ETS). The
# latter has a season from two years on.


def smoothed(past: pd.DataFrame) -> np.ndarray:
    """Return a year of exponential smoothing."""
    season = {"seasonal": "mul", "seasonal_periods": 12} if len(past) >= 24 else {}
    series = past.set_index("month")["sales"].asfreq("MS")
    return ExponentialSmoothing(series, **season).fit().forecast(12).to_numpy()


def year_ago(past: pd.DataFrame) -> np.ndarray:
    """Return the last year, or the last month."""
    last = past["sales"].to_numpy()
    return last[-12:] if len(last) >= 12 else np.full(12, last[-1])


forecasts = {"grouped": pd.Series(model.predict(later[columns]), later.index)}
for name, method in (("a year ago", year_ago), ("ETS", smoothed)):
    parts = [method(part) for _, part in known.groupby("shop", sort=False)]
    forecasts[name] = pd.Series(np.concatenate(parts), later.index)
for name, forecast in forecasts.items():
    error = (later["sales"] - forecast).abs() / later["sales"]
    old, new = error[~is_new[is_later]].mean(), error[is_new[is_later]].mean()
    print(f"mean relative error, {name}: known shops {old:.3f}, new shops {new:.3f}")

# %%
# Before the year is over, ``cross_val_score`` says what to expect: ``LaterRowsSplit`` holds out the
# last quarter of each shop.

estimator, cv = (
    GroupedRegressor(groups="shop", order="month"),
    LaterRowsSplit("month", test_size=0.25),
)
old_shops = known[~known["shop"].str.startswith("new")]
scores = cross_val_score(
    estimator, old_shops[columns], old_shops["sales"], groups=old_shops["shop"], cv=cv
)
print("R2 of later months:", scores.round(3))

# %%
# Four shops, the new one among them
# ----------------------------------
# The new shop has the December of all others before its first own one.

fig, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, layout="constrained")
for ax, shop in zip(axes.flat, ["shop 0", "shop 1", "shop 2", "new shop 0"], strict=True):
    past, future = (part[part["shop"] == shop] for part in (known, later))
    low, middle, high = model.predict_quantiles(future[columns]).T
    ax.plot(past["month"], past["sales"], "k.-", lw=0.7, ms=3)
    ax.plot(future["month"], future["sales"], "ko", ms=3, mfc="w", label="to come")
    ax.plot(future["month"], middle, "C0", label="predicted")
    ax.fill_between(future["month"], low, high, color="C0", alpha=0.2, label="90 % interval")
    for name, style in (("a year ago", "C1--"), ("ETS", "C2:")):
        ax.plot(future["month"], forecasts[name][future.index], style, lw=1, label=name)
    ax.set_title(shop)
axes[1, 1].legend(fontsize=8, loc="upper left")
axes[0, 0].set_ylabel("sales")
plt.show()
