"""
Patients in groups, from the first row to the report
====================================================

A trial in 24 clinics: which patients will do well, what does the drug change, and what can be said
of a clinic that joins later? The table is simulated, so that the answers can be compared with the
truth.
"""

# %%
# The table
# ---------
# One row per patient. Clinics differ in their mean and in what the drug does. A value of the
# questionnaire is missing for some.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import GroupedRegressor
from skmeta.plotting import ContrastDisplay
from skmeta.tasks import KnownRowsGroupKFold

rng = np.random.default_rng(3)
n_clinics, n_patients = 24, 18
clinic = np.repeat(np.arange(n_clinics), n_patients)
n = len(clinic)
age, severity = rng.uniform(30, 80, n).round(), rng.normal(size=n)
drug = rng.random(n) < 0.5
of_clinic, of_drug = rng.normal(0, 3, n_clinics), 4 + rng.normal(0, 1.5, n_clinics)
score = 50 - 0.1 * age + 3 * severity + of_clinic[clinic] + of_drug[clinic] * drug
score += rng.normal(0, 4, n)
X = pd.DataFrame(
    {
        "clinic": [f"clinic {k:02d}" for k in clinic],
        "age": age,
        "severity": np.where(rng.random(n) < 0.1, np.nan, severity),
        "arm": np.where(drug, "drug", "placebo"),
    }
)
y = pd.Series(score, name="score")
print(X.assign(score=y.round(1)).head().to_string(index=False))

# %%
# A first fit
# -----------
# The column of clinics stays in the table, and nothing has to be encoded or imputed. The summary
# says whether clinics differ, and what knowing rows of a clinic gains.

model = GroupedRegressor("clinic", target_type="real").fit(X, y)
print(model.summary_)

# %%
# Is it better than plain models?
# -------------------------------
# For clinics without rows, a plain model is as good. With eight known patients of a new clinic,
# plain models do not know what the clinic adds.

features = ["age", "severity", "arm"]
plain = {
    "boosted trees": HistGradientBoostingRegressor(),
    "ridge": make_pipeline(StandardScaler(), RidgeCV()),
}
numbers = X[features].assign(arm=X["arm"] == "drug").astype(float)
numbers = numbers.fillna(numbers.mean())
for name, cv in {
    "a new clinic": GroupKFold(4),
    "a new clinic, eight patients known": KnownRowsGroupKFold(n_known=8, n_splits=4),
}.items():
    ours = cross_val_score(model, X, y, groups=X["clinic"], cv=cv)
    print(f"{name}: R2 {ours.mean():.2f}", end="")
    for other, estimator in plain.items():
        theirs = cross_val_score(estimator, numbers, y, groups=X["clinic"], cv=cv)
        print(f", {other} {theirs.mean():.2f}", end="")
    print()

# %%
# A clinic that joins later
# -------------------------
# The model is fitted to 20 clinics. Four new ones send six patients each, and ``partial_fit`` takes
# them without fitting again. Intervals are predicted before and after.

old = pd.Series(clinic < 20)
few = ~old & (X.groupby("clinic").cumcount() < 6)
rest = ~old & ~few
model = GroupedRegressor("clinic", target_type="real").fit(X[old], y[old])
before = model.predict_quantiles(X[rest], (0.05, 0.95))
errors = [np.mean((model.predict(X[rest]) - y[rest]) ** 2)]
model.partial_fit(X[few], y[few])
after = model.predict_quantiles(X[rest], (0.05, 0.95))
errors.append(np.mean((model.predict(X[rest]) - y[rest]) ** 2))
for name, error, quantiles in zip(("before", "after"), errors, (before, after), strict=True):
    held = np.mean((quantiles[:, 0] <= y[rest]) & (y[rest] <= quantiles[:, 1]))
    width = np.mean(quantiles[:, 1] - quantiles[:, 0])
    print(
        f"{name:<7} squared error {error:4.1f}, 90% interval: width {width:4.1f}, holds {held:.0%}"
    )

# %%
# The report
# ----------
# ``contrast`` estimates what the drug changes, over all clinics and in each, with intervals.
# Effects of clinics with few rows are shrunk towards the common one.

model = GroupedRegressor("clinic", target_type="real").fit(X, y)
effect = model.contrast("arm", "drug", "placebo")
print(effect[["estimate", "lower", "upper", "df"]].round(2).to_string())
print(f"true mean effect in these clinics: {of_drug.mean():.2f}")
print("degrees of freedom from:", effect.attrs["df_from"])
each = model.contrast("arm", "drug", "placebo", group="clinic")
holds = np.mean((each["lower"].to_numpy() <= of_drug) & (of_drug <= each["upper"].to_numpy()))
print(f"intervals of single clinics that hold the truth: {holds:.0%}")
ContrastDisplay.from_estimator(model, "arm", "drug", "placebo", group="clinic")
plt.show()

# %%
# To report: the effect with its interval and degrees of freedom, what ``summary_`` says of clinics,
# the score for new clinics, and how the model was chosen. Next: :doc:`/grouped`,
# :doc:`/reporting` (when not to trust a contrast), :doc:`/growth_curves` (visits in time).
