"""Small fitted estimators of every public class, and what they say about new rows."""

import warnings

import numpy as np
import pandas as pd
from sklearn.svm import SVC

from skmeta import (
    GroupedClassifier,
    GroupedRegressor,
    MetaFewShotClassifier,
    MetaFewShotRegressor,
    MetaLearnedSearchCV,
    learners,
)
from skmeta.exceptions import SkmetaWarning
from skmeta.policy import MetaPolicy, PointNavigation, PolicyMAML

QUICK = {"n_iterations": 2, "n_shot": 4, "n_query": 4, "validation": 0, "random_state": 0}
POLICY = {"n_iterations": 1, "meta_batch_size": 2, "n_episodes": 2, "random_state": 0}
N_GROUPS = 24


def rows(n_rows=N_GROUPS * 10):
    rng = np.random.default_rng(0)
    group = np.arange(n_rows) % N_GROUPS
    X = rng.normal(size=(n_rows, 2))
    return X, X[:, 0] + rng.normal(size=N_GROUPS)[group], group


def months():
    return np.arange(240) // N_GROUPS


def dates():
    return pd.date_range("2021-01-01", periods=10, freq="MS")[months()]


def frame():
    X, _, group = rows()
    colour = np.array(["red", "blue", "green"])[np.arange(len(X)) % 3]
    return pd.DataFrame({"shop": group, "a": X[:, 0], "b": X[:, 1], "colour": colour})


def crossed():
    """A small table, as two columns of groups take long."""
    return frame()[:72].assign(city=np.arange(72) % 7)


def pairs():
    """A small table, and a target which both columns of groups decide together."""
    shop, city = np.arange(72) % 9, np.arange(72) // 9 % 4
    y = np.random.default_rng(0).normal(size=(9, 4))[shop, city] + 0.2 * rows()[1][:72]
    return frame()[:72].assign(shop=shop, city=city), y


def wide_rows():
    return np.random.default_rng(1).normal(size=(40, 70)) + rows(40)[0][:, :1]


def fit_few_shot(kind, learner=None, n_rows=240):
    """Fit a few-shot estimator, from a prior that ships or from a learner's."""
    X, y, _ = rows(n_rows)
    y = y if kind is MetaFewShotRegressor else np.where(y > 0, "high", "low")
    return kind(learner).fit(X, y)


def fit_learner(learner):
    X, y, group = rows()
    return learner.fit(X, y, groups=group)


def fit_policy():
    family = PointNavigation()
    (task,) = family.sample(1, np.random.default_rng(1))
    prior = PolicyMAML(**POLICY).fit(family).prior_
    return MetaPolicy(prior, random_state=0).fit(family.make(task), n_episodes=2)


MAKE = {
    "MetaFewShotClassifier": lambda: fit_few_shot(MetaFewShotClassifier),
    "MetaFewShotRegressor": lambda: fit_few_shot(MetaFewShotRegressor),
    "MetaFewShotRegressor of MAML": lambda: fit_few_shot(
        MetaFewShotRegressor, fit_learner(learners.MAML(**QUICK)), 20
    ),
    "MetaFewShotRegressor of a mixed model": lambda: fit_few_shot(
        MetaFewShotRegressor, fit_learner(learners.HierarchicalLinear()), 20
    ),
    "MetaFewShotClassifier of categories": lambda: MetaFewShotClassifier(
        class_weight="balanced"
    ).fit(frame().drop(columns="shop")[:40], rows()[1][:40] > 0),
    "MetaFewShotClassifier of wide rows": lambda: MetaFewShotClassifier().fit(
        wide_rows(), rows(40)[1] > 0
    ),
    "MetaFewShotClassifier of ordered classes": lambda: MetaFewShotClassifier(
        target_type=[0, 1, 2]
    ).fit(rows(40)[0], np.digitize(rows(40)[1], [-1, 1])),
    "MetaFewShotRegressor of amounts": lambda: MetaFewShotRegressor(target_type="positive").fit(
        rows(40)[0], np.exp(2 * rows(40)[1])
    ),
    "GroupedRegressor of months": lambda: GroupedRegressor("shop", order="month").fit(
        frame().assign(month=dates()),
        rows()[1] + months() % 4,
    ),
    "GroupedRegressor in time": lambda: GroupedRegressor("shop", order="week").fit(
        frame().assign(week=np.arange(240) // N_GROUPS), rows()[1]
    ),
    "GroupedClassifier in time": lambda: GroupedClassifier("shop", order="week").fit(
        frame().assign(week=np.arange(240) // N_GROUPS), rows()[1] > 0
    ),
    "GroupedRegressor of counts": lambda: GroupedRegressor("shop", exposure="time").fit(
        frame().assign(time=1.0 + months()), np.floor(np.exp(rows()[1]))
    ),
    "GroupedRegressor of one count per group": lambda: GroupedRegressor(
        "shop", exposure="time"
    ).fit(
        frame()[:N_GROUPS].assign(time=10.0 + np.arange(N_GROUPS)),
        np.floor(10 * np.exp(rows()[1][:N_GROUPS])),
    ),
    "GroupedRegressor of two columns": lambda: GroupedRegressor(["shop", "city"]).fit(
        crossed(), rows()[1][:72]
    ),
    "GroupedRegressor of interactions": lambda: GroupedRegressor(["shop", "city"]).fit(*pairs()),
    "GroupedRegressor of series": lambda: GroupedRegressor(["shop", "city"], order="week").fit(
        frame().assign(city=np.arange(240) % 7, week=months()), rows()[1] + np.arange(240) % 7
    ),
    "GroupedClassifier of two columns": lambda: GroupedClassifier(["shop", "city"]).fit(
        crossed(), rows()[1][:72] > 0
    ),
    "GroupedRegressor of a learner": lambda: GroupedRegressor(
        "shop", model=learners.HierarchicalLinear(effects="intercept")
    ).fit(frame(), rows()[1]),
    "GroupedRegressor": lambda: GroupedRegressor("shop").fit(frame(), rows()[1]),
    "GroupedClassifier": lambda: GroupedClassifier("shop").fit(frame(), rows()[1] > 0),
    "GroupedClassifier of many classes": lambda: GroupedClassifier("shop", model="mixed").fit(
        frame(), np.arange(240) % 7
    ),
    "GroupedClassifier of grades": lambda: GroupedClassifier(
        "shop", target_type=[0, 1, 2]
    ).fit(frame(), np.digitize(rows()[1], [-1, 1])),
    "GroupedClassifier of a rare class": lambda: GroupedClassifier("shop").fit(
        frame(), rows()[1] > np.quantile(rows()[1], 0.96)
    ),
    "MetaLearnedSearchCV": lambda: MetaLearnedSearchCV(
        SVC(), n_iter=3, cv=2, random_state=0
    ).fit(rows()[0], rows()[1] > 0),
    "MetaLearnedSearchCV of two metrics": lambda: MetaLearnedSearchCV(
        SVC(), {"C": [0.1, 1.0, 10.0]}, n_iter=2, cv=2, random_state=0,
        scoring=["accuracy", "roc_auc"], refit="roc_auc",
    ).fit(rows()[0], rows()[1] > 0),
    "AutoLearner": lambda: fit_learner(
        learners.AutoLearner(candidates=[learners.HierarchicalLinear()], random_state=0)
    ),
    "ProtoNet": lambda: learners.ProtoNet(n_way=5, **QUICK).fit(rows()[0], rows()[2]),
    "MAML on an architecture": lambda: fit_learner(
        learners.MAML(backbone=fit_learner(learners.MetaNAS(**QUICK)).architecture_, **QUICK)
    ),
    "HierarchicalLinear": lambda: fit_learner(learners.HierarchicalLinear()),
    "InContextLearner": lambda: fit_learner(
        learners.InContextLearner(prior="tabular", **QUICK | {"n_iterations": 1, "validation": 0.1})
    ),
    "MetaPolicy": fit_policy,
    "PolicyMAML": lambda: PolicyMAML(**POLICY).fit(PointNavigation()),
    "PolicyMAML with learned steps": lambda: PolicyMAML(**POLICY, learn={"inner_lr": "weight"}).fit(
        PointNavigation()
    ),
    **{
        name: lambda name=name: fit_learner(getattr(learners, name)(**QUICK))
        for name in ("ALPaCA", "ANIL", "FineTuning", "LearnedOptimizer", "LSTMMetaLearner", "MAML",
                     "MetaNAS", "MetaSGD", "Reptile")
    },
}  # fmt: skip


def make(name):
    """Fit the estimator of a name."""
    with warnings.catch_warnings(action="ignore", category=SkmetaWarning):
        return MAKE[name]()


def outputs(estimator):
    """Return what a fitted estimator says: its predictions, or the tensors of its prior."""
    if not hasattr(estimator, "predict"):
        return dict(estimator.prior_.tensors)
    X = wide_rows() if getattr(estimator, "n_features_in_", 0) == 70 else rows()[0]
    if "colour" in getattr(estimator, "feature_names_in_", ()):
        times, cities = np.arange(240) // N_GROUPS, np.arange(240) % 7
        X = frame().assign(week=times, city=cities, month=dates(), time=1.0 + times)
        X = X[list(estimator.feature_names_in_)]
    if isinstance(estimator, MetaPolicy):
        return {"action": estimator.predict(np.zeros(2)), **estimator.adapted_}
    name = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    return {"labels": estimator.predict(X).astype(str), name: getattr(estimator, name)(X)}
