"""What holds for an estimator on any table: what has no effect, and what predictions are."""

import pickle
from functools import cached_property

import numpy as np
import pandas as pd
from drawn_tables import classes_of, draw_table
from sklearn.base import clone, is_classifier

import skmeta
from skmeta.exceptions import EpisodeError

# Two searches for the parameters of a process end this near, in deviations of y.
UNITS = 1e-3
# Probabilities of a few-shot classifier for classes in another order.
CLASSES = 1e-5
QUANTILES = (0.05, 0.5, 0.95)
ESTIMATORS = (
    "MetaFewShotRegressor",
    "MetaFewShotClassifier",
    "GroupedRegressor",
    "GroupedClassifier",
)
# A column of one value, in all rows or in those of a fold, has no unit.
UNIT_TABLES = {"least_rows": 12, "has_gaps": False, "kinds": ("normal", "far", "tails", "ranks")}


class Subject:
    """An estimator, and a table as it takes it: grouped ones take a first column of groups."""

    def __init__(self, name, table):
        X, y, self.rng = table
        self.is_grouped = name.startswith("Grouped")
        self.is_classifier = name.endswith("Classifier")
        self.y = classes_of(table, self.rng.integers(2, 5)) if self.is_classifier else y
        group = self.rng.integers(0, max(2, len(y) // 4), len(y))
        group[:2] = 0
        self.X = np.column_stack([group, X]) if self.is_grouped else X
        self.estimator = getattr(skmeta, name)(**{} if self.is_grouped else {"device": "cpu"})
        if self.is_grouped:
            self.estimator.set_params(groups=0)

    def fit(self, X, y, weight=None, **params):
        """Return a fitted estimator, or None if the groups say nothing."""
        try:
            return clone(self.estimator).set_params(**params).fit(X, y, sample_weight=weight)
        except EpisodeError:  # the drawn groups are a copy of the target, or one row each
            return None

    @cached_property
    def model(self):
        return self.fit(self.X, self.y)

    @cached_property
    def expected(self):
        return outputs(self.model, self.X)

    @property
    def deviation(self):
        """Return the unit of tolerances."""
        return 1.0 if self.is_classifier else float(np.std(self.y))


def outputs(model, X):
    if model is None:
        return None
    if is_classifier(model):
        return model.predict_proba(X)
    return np.column_stack(model.predict(X, return_std=True))


def assert_equal(found, expected, **tolerances):
    assert (found is None) == (expected is None), "one of two equal tables is refused"
    if found is not None:
        np.testing.assert_allclose(found, expected, **tolerances)


def order_has_no_effect(subject):
    """Rows and columns may be in any order, and in a frame; for few-shot estimators classes, too.

    Names of groups have no effect, unless two have the same rows. Of classes with the same rows,
    the first one is preferred.
    """
    X, y, rng = subject.X, subject.y, subject.rng
    rows, tolerance = rng.permutation(len(y)), 1e-6 * subject.deviation
    columns, params = rng.permutation(X.shape[1]), {}
    if subject.is_grouped:
        names = rng.permutation(len(y))
        X, renamed = np.column_stack([names[X[:, 0].astype(int)], X[:, 1:]]), None
        params = {"groups": f"x{columns.argmin()}"}
        if have_equal_groups(subject):
            rows = np.arange(len(y))
    else:
        renamed = rng.permutation(len(np.unique(y)))
        if subject.is_classifier:
            contents = {np.sort(X[y == c], axis=0).tobytes() for c in np.unique(y)}
            renamed = renamed if len(contents) == len(renamed) else np.sort(renamed)
    X = pd.DataFrame(X[:, columns], columns=[f"x{k}" for k in range(len(columns))])
    some = X.iloc[rows]
    if not subject.is_classifier or renamed is None:
        found = outputs(subject.fit(some, y[rows], **params), X)
    else:
        found = outputs(subject.fit(some, renamed[y[rows]]), X)[:, renamed]
        tolerance = CLASSES
    assert_equal(found, subject.expected, rtol=1e-6, atol=tolerance)


def have_equal_groups(subject):
    """Return whether two groups have the same rows."""
    parts = (
        np.column_stack([subject.X[:, 1:], subject.y])[subject.X[:, 0] == g]
        for g in np.unique(subject.X[:, 0])
    )
    contents = [part[np.lexsort(part.T)].tobytes() for part in parts]
    return len(set(contents)) < len(contents)


def weights_repeat_rows(subject):
    """A row of weight k is k rows."""
    X, y, rng = subject.X[:16], subject.y[:16], subject.rng
    most = int(np.exp(rng.uniform(0, np.log(33))))
    weight = rng.integers(most == 1, most + 1, len(y))
    weight[:2] = most
    if subject.is_classifier:
        if len(np.unique(y)) == 1:
            return
        y = np.unique(y, return_inverse=True)[1]
        weight[np.unique(y, return_index=True)[1]] = most
    else:
        y = np.concatenate([[y.min() - 1, y.max() + 1], y[2:]])
    rows = np.repeat(np.arange(len(y)), weight)
    found = outputs(subject.fit(X, y, weight), X)
    assert_equal(found, outputs(subject.fit(X[rows], y[rows]), X), rtol=0, atol=0)


def units_hardly_matter(subject):
    """Other units of columns and targets hardly change predictions of `UNIT_TABLES`."""
    X, y, rng = subject.X, subject.y, subject.rng
    scale, shift = np.exp(rng.uniform(np.log(1e-3), np.log(1e3))), rng.uniform(-1e3, 1e3)
    units, shifts = np.exp(rng.normal(size=X.shape[1])), np.full(X.shape[1], shift)
    if subject.is_grouped:
        units[0], shifts[0] = 1, 0
    X = units * X + shifts
    found = outputs(subject.fit(X, y if subject.is_classifier else scale * y + shift), X)
    if not subject.is_classifier and found is not None:
        found = (found - [shift, 0]) / scale
    assert_equal(found, subject.expected, atol=UNITS * subject.deviation)


def weights_repeat_rows_with_categories(subject):
    """A category of many rows has an indicator: a row of weight k counts as k, and 0 as none."""
    rng, rows = subject.rng, np.arange(len(subject.y)).repeat(2)
    X = pd.DataFrame(subject.X[rows], columns=[f"x{k}" for k in range(subject.X.shape[1])])
    X["c"] = rng.choice([*"abcde"], len(X), p=[0.4, 0.3, 0.15, 0.1, 0.05])
    y, weight = subject.y[rows], rng.integers(0, 3, len(X))
    # The class of each label is there.
    weight[np.unique(y, return_index=True)[1]] = 1
    repeated = np.arange(len(y)).repeat(weight)
    params = {"groups": "x0"} if subject.is_grouped else {}
    found = outputs(subject.fit(X, y, weight, **params), X)
    expected = subject.fit(X.iloc[repeated], y[repeated], **params)
    assert_equal(found, outputs(expected, X), rtol=0, atol=0)


def units_of_exposures_have_no_effect(subject):
    """Counts by year are those by day: predictions and quantiles are the same."""
    if not subject.is_grouped or subject.is_classifier:
        return
    rng, n = subject.rng, len(subject.y)
    X = pd.DataFrame(subject.X, columns=[f"x{k}" for k in range(subject.X.shape[1])])
    X["years"] = np.exp(rng.normal(size=n))
    y = rng.poisson(X["years"] * np.exp(rng.normal(size=n)[X["x0"].astype(int)]))
    params = {"groups": "x0", "exposure": "years"}
    days = X.assign(years=365.25 * X["years"])
    found = outputs(subject.fit(days, y, **params), days)
    assert_equal(found, outputs(subject.fit(X, y, **params), X), rtol=1e-9, atol=1e-9)


def rows_are_predicted_alone(subject):
    """A prediction does not depend on the rows beside it."""
    rng, n = subject.rng, len(subject.y)
    if subject.model is None:
        return
    for rows in ([rng.integers(n)], rng.permutation(n)[: max(2, n // 2)]):
        found = outputs(subject.model, subject.X[rows])
        assert_equal(found, subject.expected[rows], rtol=1e-6, atol=1e-6 * subject.deviation)


def predictions_are_distributions(subject):
    """Probabilities sum to 1; deviations are positive, and quantiles in order."""
    X, model = subject.X, subject.model
    if model is None:
        return
    far = X * np.where(subject.rng.random(X.shape) < 0.2, 30, 1)
    if subject.is_grouped:
        far[:, 0] = X[:, 0]
    for new in (X, far):
        found = outputs(model, new)
        assert np.isfinite(found).all(), "predictions are not finite"
        if subject.is_classifier:
            assert (found >= 0).all(), "a probability is negative"
            np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
            np.testing.assert_array_equal(model.predict(new), model.classes_[found.argmax(1)])
            continue
        assert (found[:, 1] >= 0).all(), "a deviation is negative"
        np.testing.assert_array_equal(model.predict(new), found[:, 0])
        quantiles = model.predict_quantiles(new, QUANTILES)
        assert np.isfinite(quantiles).all(), "quantiles are not finite"
        assert (np.diff(quantiles, axis=1) >= 0).all(), "quantiles are not in order"


def a_copy_is_equal(subject):
    """A copy by pickle predicts the same; inputs are not changed."""
    if subject.model is None:
        return
    own_X, own_y = subject.X.copy(), subject.y.copy()
    copied = outputs(pickle.loads(pickle.dumps(subject.model)), subject.X)
    assert_equal(copied, subject.expected, rtol=0, atol=0)
    np.testing.assert_array_equal(subject.X, own_X)
    np.testing.assert_array_equal(subject.y, own_y)


PROPERTIES = (
    order_has_no_effect,
    weights_repeat_rows,
    weights_repeat_rows_with_categories,
    units_of_exposures_have_no_effect,
    rows_are_predicted_alone,
    predictions_are_distributions,
    a_copy_is_equal,
)


def failures(name, seed):
    """Return the errors of properties of an estimator on the table of a seed.

    Parameters
    ----------
    name : str
    seed : int
        Even seeds draw `UNIT_TABLES`, for which units are checked, too.

    Returns
    -------
    dict of str -> str or None
        The error of each property that was checked.
    """
    has_units = seed % 2 == 0
    options = UNIT_TABLES if has_units else {"least_rows": 12 if "Grouped" in name else 4}
    subject, found = Subject(name, draw_table(seed, most_rows=40, **options)), {}
    for check in (*PROPERTIES, *[units_hardly_matter] * has_units):
        try:
            check(subject)
            found[check.__name__] = None
        except Exception as error:  # what fails is what is looked for
            text = " ".join(str(error).split())
            found[check.__name__] = f"{type(error).__name__}: {text[:300]}"
    return found
