"""Small tables whose targets are amounts and counts, or ordered classes: distributions, and peers.

    python -m benchmarks.measure.small_targets amounts
    python -m benchmarks.measure.small_targets amounts --sets report --draws 3
    SKMETA_DATA=... python -m benchmarks.measure.small_targets ordered --sets report --draws 3
    python -m benchmarks.measure.small_targets amounts --methods --label "my change" --results FILE

Amounts: tables of ``raw_tables.csv`` whose target is never negative and skewed (skewness above
1.2), in the halves that they have there. 20, 50 or 150 rows are known, and up to 200 others are
predicted. "error" is the quantile loss, the mean over deciles and rows, over that of the
quantiles of the known targets; "squares" the squared error of the mean, over that of the mean of
the known targets; "worse" the share of tables where "error" is above 1.03; "below" and "means
below" the shares of 5 % quantiles and means that are negative; "coverage" that of 90 % intervals,
and "without ties" the same where nearly all targets differ.

Ordered classes: ratings, grades and stages of R tables and of PMLB (``SKMETA_DATA``). 20, 50 or 100
rows are known, at least one of each class. "error" is the log loss, with probabilities of at least
1e-7; "ranked" the ranked probability score over that of the known rows' frequencies.

Every set was put into its half before anything was measured. Choices are made on the development
half (the default); the report half is for reports. Peers get medians for gaps and one column for
each level of words. "forest" has the targets of the rows in a row's leaves as its distribution
(Meinshausen 2006), "lightgbm" one model for each level, "ridge" a normal distribution whose
variance is that of rows left out, "log ridge" the same of log(1 + y), and "odds" is the
proportional odds model of statsmodels; where that does not converge, the frequencies of the known
rows count.
"""

import argparse
import os
import time
import zlib
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV

from benchmarks.lib import tabular_sets
from benchmarks.lib.comparison import RESULTS, add_options, compare
from benchmarks.lib.r_tables import read_frame
from benchmarks.measure import raw_tables
from skmeta import MetaFewShotClassifier, MetaFewShotRegressor

AMOUNTS = {
    "development": (
        *("AER::PSID1982", "Ecdat::Unemployment", "MASS::coop", "MASS::cpus", "MASS::minn38"),
        *("robustbase::ambientNOxCH", "carData::Rossi", "carData::UN", "drc::metals"),
        *("tidyr::cms_patient_care", "tidyr::us_rent_income", "lme4::Arabidopsis"),
        *("mlmRev::guPrenat", "wooldridge::charity", "validate::samplonomy", "nlme::Phenobarb"),
        "ggplot2movies::movies",
    ),
    "report": (
        *("DAAG::biomass", "DAAG::socsupport", "DAAG::tinting", "HSAUR::Forbes2000"),
        *("HistData::DrinksWages", "HistData::Guerry", "openintro::cpu", "openintro::epa2012"),
        *("openintro::get_it_dunn_run", "aod::dja", "causaldata::texas", "stevedata::DAPO"),
        *("dslabs::murders", "modeldata::cells", "modeldata::chem_proc_yield", "modeldata::oils"),
        *("COUNT::azcabgptca", "COUNT::azdrg112", "COUNT::loomis", "vcd::DanishWelfare"),
        "vcdExtra::Yamaguchi87",
    ),
}
# Target of each set of ordered classes, and the order of classes that are words.
ORDERED: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "development": {
        "multgee::arthritis": ("y", ()),
        "AER::Affairs": ("rating", ()),
        "pmlb::1029_LEV": ("target", ()),
        "ISLR::Carseats": ("ShelveLoc", ("Bad", "Medium", "Good")),
        "survival::pbc": ("stage", ()),
        "carData::BEPS": ("economic.cond.national", ()),
        "psych::sat.act": ("education", ()),
        "modeldata::attrition": ("JobSatisfaction", ("Low", "Medium", "High", "Very_High")),
    },
    "report": {
        "ordinal::wine": ("rating", ()),
        "ordinal::soup": ("SURENESS", ()),
        "MASS::housing": ("Sat", ("Low", "Medium", "High")),
        "pmlb::1027_ESL": ("target", ()),
        "pmlb::1030_ERA": ("target", ()),
        "vcd::Arthritis": ("Improved", ("None", "Some", "Marked")),
        "carData::WVS": ("poverty", ("Too Little", "About Right", "Too Much")),
        "wooldridge::beauty": ("looks", ()),
    },
}
# Columns that are the answer, or another form of it.
NOT_FEATURES = {"ordinal::wine": ["response", "bottle"], "MASS::housing": ["Freq"]}
SIZES = {"amounts": (20, 50, 150), "ordered": (20, 50, 100)}
MEASURES = {
    "amounts": (
        *("error", "geometric", "worse", "squares", "coverage", "without ties"),
        *("below", "means below", "seconds"),
    ),
    "ordered": ("error", "ranked", "accuracy", "seconds"),
}
LEVELS = np.r_[0.05, np.arange(1, 10) / 10, 0.95]
N_QUERY, MIN_QUERY, WORSE, MIN_PROBABILITY = 200, 15, 1.03, 1e-7
# Targets have ties if there are fewer different values than this share of the rows.
TIES = 0.9
LIGHTGBM = {"n_estimators": 100, "min_child_samples": 5, "num_leaves": 8, "learning_rate": 0.05}


# -- data ----------------------------------------------------------------------------------------


@cache
def load_ordered(name: str) -> tuple[pd.DataFrame, np.ndarray, list[Any]]:
    """Return columns, classes, and the classes in order."""
    target, order = (ORDERED["development"] | ORDERED["report"])[name]
    if name.startswith("pmlb::"):
        X, y = tabular_sets.load(name.removeprefix("pmlb::"))
        return pd.DataFrame(X).add_prefix("x"), y, sorted(set(y))
    frame = read_frame(name)
    if name == "MASS::housing":
        frame = frame.loc[frame.index.repeat(frame["Freq"].astype(int))]
    if name == "vcd::Arthritis":
        frame[target] = frame[target].fillna("None")
    frame = frame[frame[target].notna()].reset_index(drop=True)
    X = frame.drop(columns=[target, *NOT_FEATURES.get(name, [])])
    y = frame[target].to_numpy()
    return X, y, list(order) or sorted(set(y))


def draw(kind: str, name: str, size: int, seed: int) -> tuple[Any, ...] | None:
    """Return known rows and targets, and others; targets are numbers, or codes of the classes."""
    if kind == "amounts":
        part = raw_tables.draw("regression", name, str(size), seed)
        return part and (*part[:2], *(each[:N_QUERY] for each in part[2:]))
    X, labels, order = load_ordered(name)
    y = pd.Categorical(labels, order, ordered=True).codes.astype(int)
    rng = np.random.default_rng([zlib.crc32(name.encode()), size, seed])
    rows = rng.permutation(len(y))
    first = np.unique(y[rows], return_index=True)[1]
    rows = np.concatenate([rows[first], np.delete(rows, first)])
    known, others = rng.permutation(rows[:size]), rows[size:][:N_QUERY]
    if len(others) < MIN_QUERY:
        return None
    return X.iloc[known], y[known], X.iloc[others], y[others]


# -- peers ---------------------------------------------------------------------------------------


class Quantiles(BaseEstimator):
    """Quantiles of the known targets."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Quantiles":
        """Keep the targets."""
        self.y_ = y
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict their mean."""
        return np.full(len(X), self.y_.mean())

    def predict_quantiles(self, X: pd.DataFrame, levels: np.ndarray) -> np.ndarray:
        """Predict their quantiles."""
        return np.tile(np.quantile(self.y_, levels), (len(X), 1))


class QuantileForest(Quantiles):
    """A random forest whose distributions are those of the rows in the same leaves."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "QuantileForest":
        """Fit."""
        self.y_, forest = y, RandomForestRegressor(random_state=0, min_samples_leaf=3)
        self.model_ = raw_tables.behind(forest, scaled=False).fit(X, y)
        self.leaves_ = self._leaves(X)
        return self

    def _leaves(self, X: pd.DataFrame) -> np.ndarray:
        return self.model_[-1].apply(self.model_[:-1].transform(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict means."""
        return self.model_.predict(X)

    def predict_quantiles(self, X: pd.DataFrame, levels: np.ndarray) -> np.ndarray:
        """Predict quantiles."""
        same = self._leaves(X)[:, None] == self.leaves_
        weight = (same / np.maximum(same.sum(1, keepdims=True), 1)).mean(2)
        order = np.argsort(self.y_)
        at = weight[:, order].cumsum(1)
        return self.y_[order][(at[:, :, None] < levels - 1e-9).sum(1).clip(max=len(order) - 1)]


class LightGBM(Quantiles):
    """A LightGBM model for each level, and one for the mean."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "LightGBM":
        """Fit."""
        from lightgbm import LGBMRegressor

        settings = LIGHTGBM | {"n_jobs": 1, "verbose": -1, "random_state": 0}
        model = raw_tables.behind(LGBMRegressor(**settings), scaled=False)
        name, self.mean_ = model.steps[-1][0], clone(model).fit(X, y)
        self.models_ = [
            clone(model).set_params(**{f"{name}__objective": "quantile", f"{name}__alpha": a})
            for a in LEVELS
        ]
        for each in self.models_:
            each.fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict means."""
        return self.mean_.predict(X)

    def predict_quantiles(self, X: pd.DataFrame, levels: np.ndarray) -> np.ndarray:
        """Predict quantiles, which are sorted."""
        return np.sort(np.stack([each.predict(X) for each in self.models_], 1), 1)


class Ridge(Quantiles):
    """Ridge regression with a normal distribution, of the targets or of log(1 + y)."""

    def __init__(self, log: bool = False) -> None:
        self.log = log

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Ridge":
        """Fit; the variance is that of rows left out."""
        ridge = RidgeCV(np.logspace(-3, 3, 13), store_cv_results=True)
        self.model_ = raw_tables.behind(ridge)
        y = np.log1p(y) if self.log else y
        self.model_.fit(X, y)
        left_out = self.model_[-1].cv_results_
        self.std_ = float(np.sqrt(left_out.mean(0).min()))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict means."""
        mean = self.model_.predict(X)
        if not self.log:
            return mean
        return np.expm1(np.minimum(mean + self.std_**2 / 2, 50))

    def predict_quantiles(self, X: pd.DataFrame, levels: np.ndarray) -> np.ndarray:
        """Predict quantiles."""
        values = self.model_.predict(X)[:, None] + self.std_ * norm.ppf(levels)
        return np.expm1(np.minimum(values, 50)) if self.log else values


class ProportionalOdds(BaseEstimator):
    """The ordered logit of statsmodels; the frequencies of classes where it does not converge."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "ProportionalOdds":
        """Fit."""
        from statsmodels.miscmodels.ordinal_model import OrderedModel

        self.encoder_ = raw_tables.behind(LogisticRegression()).set_params()[:-1].fit(X)
        rows = self.encoder_.transform(X)
        self.kept_, self.share_ = rows.std(0) > 0, np.bincount(y) / len(y)
        self.result_ = None
        try:
            model = OrderedModel(y, rows[:, self.kept_], distr="logit")
            result = model.fit(method="bfgs", disp=False, maxiter=200)
        except (np.linalg.LinAlgError, ValueError):
            return self
        if np.isfinite(result.params).all():
            self.result_ = result
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Predict probabilities."""
        if self.result_ is None:
            return np.tile(self.share_, (len(X), 1))
        rows = self.encoder_.transform(X)[:, self.kept_]
        return np.asarray(self.result_.predict(rows))


class Ordered(BaseEstimator):
    """Our classifier, which is told that the classes are ordered, or is not."""

    def __init__(self, *, declared: bool = True) -> None:
        self.declared = declared

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "Ordered":
        """Fit."""
        kind = {"target_type": np.unique(y).tolist()} if self.declared else {}
        self.model_ = MetaFewShotClassifier(device="cpu", **kind).fit(X, y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Predict probabilities."""
        return self.model_.predict_proba(X)


PEERS: dict[str, dict[str, BaseEstimator]] = {
    "amounts": {
        "unconditional": Quantiles(),
        "forest": QuantileForest(),
        "lightgbm": LightGBM(),
        "ridge": Ridge(),
        "log ridge": Ridge(log=True),
        "ours, as given": MetaFewShotRegressor(device="cpu", target_type="real"),
    },
    "ordered": {
        "logistic": raw_tables.behind(LogisticRegression(max_iter=1000)),
        "forest": raw_tables.behind(RandomForestClassifier(random_state=0), scaled=False),
        "odds": ProportionalOdds(),
        "ours, nominal": Ordered(declared=False),
    },
}
OURS = {"amounts": MetaFewShotRegressor(device="cpu"), "ordered": Ordered()}


# -- scores --------------------------------------------------------------------------------------


def quantile_loss(y: np.ndarray, quantiles: np.ndarray) -> float:
    """Mean over rows and deciles; the first and last of the levels are of the interval."""
    error, levels = y[:, None] - quantiles[:, 1:-1], LEVELS[1:-1]
    return float(np.maximum(levels * error, (levels - 1) * error).mean())


def score_amounts(model: Any, part: tuple[Any, ...]) -> dict[str, float]:
    """Scores of a regressor on a draw."""
    X, y, X_query, y_query = part
    began = time.process_time()
    model.fit(X, y)
    seconds = time.process_time() - began
    mean, quantiles = model.predict(X_query), model.predict_quantiles(X_query, LEVELS)
    nothing = np.tile(np.quantile(y, LEVELS), (len(y_query), 1))
    error = quantile_loss(y_query, quantiles) / max(quantile_loss(y_query, nothing), 1e-300)
    squares = np.mean((mean - y_query) ** 2) / np.mean((y.mean() - y_query) ** 2)
    inside = (quantiles[:, 0] <= y_query) & (y_query <= quantiles[:, -1])
    # Of targets that many rows share, an interval holds more than it says.
    has_ties = len(np.unique(y)) < TIES * len(y)
    return {
        "error": min(error, 10.0),
        "worse": float(error > WORSE),
        "squares": min(float(squares), 10.0),
        "coverage": float(inside.mean()),
        "without ties": np.nan if has_ties else float(inside.mean()),
        "below": float((quantiles[:, 0] < 0).mean()),
        "means below": float((mean < 0).mean()),
        "seconds": seconds,
    }


def score_ordered(model: Any, part: tuple[Any, ...]) -> dict[str, float]:
    """Scores of a classifier on a draw."""
    X, y, X_query, y_query = part
    began = time.process_time()
    p = np.asarray(model.fit(X, y).predict_proba(X_query))
    seconds = time.process_time() - began
    chosen = np.clip(p[np.arange(len(p)), y_query], MIN_PROBABILITY, 1)
    is_below = y_query[:, None] <= np.arange(p.shape[1])
    known = (np.bincount(y) / len(y)).cumsum()
    ranked, nothing = (((q - is_below) ** 2).sum(1).mean() for q in (p.cumsum(1), known))
    return {
        "error": float(-np.log(chosen).mean()),
        "ranked": float(ranked / nothing),
        "accuracy": float((p.argmax(1) == y_query).mean()),
        "seconds": seconds,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=tuple(SIZES))
    add_options(parser, ("development", "report"))
    parser.add_argument("--label", default="ours", help="name of our results")
    options = parser.parse_args()
    kind = options.kind
    options.sizes = options.sizes or SIZES[kind]
    options.results = options.results or RESULTS / f"small_targets-{kind}.jsonl.gz"
    names = list((AMOUNTS if kind == "amounts" else ORDERED)[options.sets])
    if "SKMETA_DATA" not in os.environ:
        names = [name for name in names if not name.startswith("pmlb::")]
    methods = PEERS[kind] | {options.label: OURS[kind]}
    evaluate = score_amounts if kind == "amounts" else score_ordered

    def score(model: Any, name: str, size: int, seed: int) -> dict | None:
        part = draw(kind, name, size, seed)
        return part and evaluate(model, part)

    makers = {name: lambda _, peer=peer: clone(peer) for name, peer in methods.items()}
    compare(options, makers, names, score, MEASURES[kind], options.label)


if __name__ == "__main__":
    main()
