"""Contrasts: what they equal, lme4, glmmTMB and emmeans among it, what they hold and refuse."""

import contextlib
import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta._mixed import Normal
from skmeta._reporting import ContrastMixin, ReportTable
from skmeta._reporting._contrast import Column
from skmeta._reporting._effect import TreatmentRows, fit_effect


def table(n=240, n_groups=12, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), n // n_groups)
    frame = pd.DataFrame(
        {
            "clinic": [f"c{g}" for g in group],
            "arm": rng.choice(["drug", "control", "placebo"], n),
            "age": rng.normal(50, 10, n),
            "city": np.where(group < n_groups // 2, "big", "small"),
        }
    )
    y = (frame.arm == "drug") * 2.0 + 0.05 * frame.age + rng.normal(size=n_groups)[group]
    return frame, y + rng.normal(size=n)


@pytest.fixture(scope="module")
def fitted():
    frame, y = table()
    return GroupedRegressor(groups="clinic", model="mixed").fit(frame, y), frame


@pytest.mark.filterwarnings("ignore:GroupedRegressor has groups=None")
def test_a_table_without_groups_has_the_intervals_of_least_squares():
    frame, y = table(60)
    frame = frame.drop(columns=["clinic", "city"])
    model = GroupedRegressor(model="population")
    found = model.fit(frame, y).contrast("arm", ["drug", "placebo"])
    levels = [(frame.arm == name) * 1.0 for name in ("drug", "placebo")]
    X = np.column_stack([np.ones(60), *levels, frame.age])
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ X.T @ y
    std = np.sqrt(((y - X @ b) ** 2).sum() / 56 * np.diag(inverse))
    np.testing.assert_allclose(found["estimate"], b[1:3], rtol=1e-4)
    np.testing.assert_allclose(found["std"], std[1:3], rtol=1e-3)
    half = student.ppf(0.975, 56) * std[1:3]
    np.testing.assert_allclose(found["upper"] - found["estimate"], half, rtol=2e-3)
    # Ratios of amounts, by the delta method.
    y = np.exp(y / 2)
    found = model.fit(frame, y).contrast("arm", "drug").iloc[0]
    b, ends = inverse @ X.T @ y, np.tile(X.mean(0), (2, 1))
    ends[:, 1:3] = [[1, 0], [0, 0]]
    means = ends @ b
    gradient = ends[0] / means[0] - ends[1] / means[1]
    std = np.sqrt(gradient @ inverse @ gradient * ((y - X @ b) ** 2).sum() / 56)
    assert found["ratio"] == pytest.approx(means[0] / means[1], rel=1e-3)
    half = np.log(found["ratio_upper"] / found["ratio"])
    assert half == pytest.approx(student.ppf(0.975, 56) * std, rel=5e-3)


def test_comparisons_are_named_and_turn_around(fitted):
    model, _ = fitted
    there, back = model.contrast("arm", "drug", "placebo"), model.contrast("arm", "placebo", "drug")
    assert list(there.index) == ["drug - placebo"]
    np.testing.assert_allclose(there[["estimate", "lower"]], -back[["estimate", "upper"]])
    assert list(model.contrast("arm", ["drug", "placebo"]).index) == [
        "drug - control",
        "placebo - control",
    ]
    # A wider interval for a higher level.
    wide = model.contrast("arm", "drug", "placebo", level=0.99)
    assert (wide["upper"] > there["upper"]).all()


def test_numbers_change_in_proportion_and_rows_do_not_matter_without_products(fitted):
    model, frame = fitted
    ten, five = model.contrast("age", 60, 50), model.contrast("age", 55, 50, X=frame[:7])
    np.testing.assert_allclose(ten["estimate"], 2 * five["estimate"])


def test_a_treatment_of_whole_groups_has_the_degrees_of_freedom_of_groups(fitted):
    model, frame = fitted
    between, within = model.contrast("city", "small"), model.contrast("age", 51, 50)
    assert between["df"].item() < frame.clinic.nunique()
    assert within["df"].item() > 5
    assert between.attrs["df_from"] == "groups of 'clinic'"
    assert within.attrs["df_from"] == "rows and groups"
    with pytest.raises(ValueError, match="cannot be told for each group"):
        model.contrast("city", "small", group="clinic")
    # Also if groups do not differ beyond chance: 12, less their mean and the treatment.
    y = pd.Series(np.random.default_rng(1).normal(size=240))
    y = y - 0.9 * y.groupby(frame.clinic).transform("mean")
    model = GroupedRegressor(groups="clinic", model="mixed").fit(frame, y)
    assert model.contrast("city", "small")["df"].item() == 10
    assert model.contrast("city", "small").attrs["df_from"].startswith("groups of ")


def test_effects_of_groups_are_drawn_to_the_common_one(fitted):
    model, frame = fitted
    each, common = model.contrast("arm", "drug", group="clinic"), model.contrast("arm", "drug")
    assert set(each.index.get_level_values("clinic")) == set(frame.clinic)
    frame, y = table()
    means = y.groupby([frame.clinic, frame.arm]).mean().unstack()
    raw = (means["drug"] - means["control"]).std()
    assert each["estimate"].std() < raw
    assert each["estimate"].mean() == pytest.approx(common["estimate"].item(), abs=0.05)


def test_probabilities_and_odds_agree():
    frame, y = table()
    model = GroupedClassifier(groups="clinic", model="mixed").fit(frame, y > y.median())
    found = model.contrast("arm", "drug").iloc[0]
    assert 0 < found["lower"] < found["estimate"] < found["upper"] < 1
    assert 1 < found["ratio_lower"] < found["ratio"] < found["ratio_upper"]
    three = pd.cut(y, 3, labels=["low", "middle", "high"]).astype(str)
    model = GroupedClassifier(groups="clinic", model="mixed").fit(frame, three)
    found = model.contrast("arm", "drug")
    assert list(found.index.get_level_values("class")) == sorted(set(three))
    # Fitted one against the rest, so the changes nearly cancel.
    assert abs(found["estimate"].sum()) < 0.05


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"column": "clinic", "to": "c1"}, "is a column of groups"),
        ({"column": "arn", "to": "drug"}, "Did you mean 'arm'"),
        ({"column": "arm", "to": "drugs"}, "Did you mean 'drug'"),
        ({"column": "arm", "to": "drug", "versus": "drug"}, "are both 'drug'"),
        ({"column": "age", "to": 50}, "so versus"),
        ({"column": "age", "to": 500, "versus": 50}, "beyond the values"),
        ({"column": "age", "to": "old", "versus": 50}, "must be a number"),
        ({"column": "arm", "to": "drug", "group": "city"}, "no column of groups"),
        ({"column": ["arm"], "to": "drug"}, "is no column of X. It has"),
        ({"column": 9, "to": "drug"}, "column=9 is no column of X"),
        ({"column": "arm", "to": []}, "has no value. Name one"),
        ({"column": "arm", "to": True}, "to=True is no value"),
    ],
)
def test_what_cannot_be_told_is_an_error(fitted, given, message):
    with pytest.raises(ValueError, match=message):
        fitted[0].contrast(**given)


def test_columns_of_arrays_have_positions_and_names():
    frame, y = table()
    X = np.column_stack([frame.clinic.str[1:].astype(int), frame.age])
    model = GroupedRegressor(groups=0, model="mixed").fit(X, y)
    assert model.contrast(-1, 60, 50).equals(model.contrast("x1", 60, 50))
    assert len(model.contrast(1, 60, 50, group=0)) == 12
    with pytest.raises(ValueError, match="column='x0' is a column of groups"):
        model.contrast(0, 1)


def test_rows_of_new_groups_have_no_contrast_by_group(fitted):
    model, frame = fitted
    new = frame[:5].assign(clinic="new")
    assert len(model.contrast("arm", "drug", X=new)) == 1
    with pytest.raises(ValueError, match="no row of a group in 'clinic'"):
        model.contrast("arm", "drug", X=new, group="clinic")


def test_a_column_that_others_or_too_few_groups_decide_is_an_error():
    frame, y = table(60, 12)
    model = GroupedRegressor(groups="clinic", model="mixed").fit(
        frame.assign(months=12 * frame.age), y
    )
    with pytest.raises(ValueError, match="other columns decide"):
        model.contrast("age", 60, 50)
    with pytest.warns(match="fewer than 10 groups"):
        few = GroupedRegressor(groups="city", model="mixed").fit(
            frame.drop(columns="clinic").assign(north=frame.city == "big"), y
        )
    with pytest.raises(ValueError, match="too few to tell"):
        few.contrast("north", True)


def test_few_groups_that_are_treated_as_a_whole_beside_a_number_of_theirs_warn():
    frame, y = table(240, 24)
    group = frame.clinic.str[1:].astype(int)
    frame = frame.assign(new=group % 2, beds=(7 * group) % 24)
    model = GroupedRegressor(groups="clinic", model="mixed").fit(frame, y)
    with pytest.warns(match="'new' is the same .* 'clinic', and so is 'beds'. With 24 groups"):
        model.contrast("new", 1)
    model.contrast("arm", "drug", "control")
    frame, y = table(240, 48)
    group = frame.clinic.str[1:].astype(int)
    frame = frame.assign(new=group % 2, beds=(7 * group) % 24)
    GroupedRegressor(groups="clinic", model="mixed").fit(frame, y).contrast("new", 1)


@pytest.mark.parametrize("few", [0, 1, 4])
def test_few_events_tell_no_effect(few):
    frame, _ = table(120)
    frame["days"] = 1.0 + np.arange(120) % 3
    events = (np.arange(120) % 29 == 3) & (np.arange(120) < 29 * few)
    assert events.sum() == few
    counts = GroupedRegressor("clinic", exposure="days", model="population").fit(frame, events * 1)
    with pytest.raises(ValueError, match=r"^y has .* but contrast needs 5 or more"):
        counts.contrast("arm", "drug")
    if few:
        classes = GroupedClassifier("clinic", model="population").fit(frame, ~events)
        with pytest.raises(ValueError, match=r"^Class False has .* but contrast needs 5 or more"):
            classes.contrast("arm", "drug")


def test_an_arm_without_events_is_an_error():
    frame, _ = table(120)
    counts = (frame.arm != "placebo") * (1 + np.arange(120) % 3)
    model = GroupedRegressor("clinic", model="population", target_type="count")
    model.fit(frame, counts)
    assert np.isfinite(model.contrast("arm", "drug")).all(axis=None)
    with pytest.raises(ValueError, match="arm='placebo' have no event"):
        model.contrast("arm", ["drug", "placebo"])
    events = np.where(counts % 2 == 1, "yes", "no")
    model = GroupedClassifier("clinic", model="population").fit(frame, events)
    with pytest.raises(ValueError, match="arm='placebo' are of one class"):
        model.contrast("arm", "drug", "placebo")


@pytest.mark.parametrize("shape", [abs, np.square, np.sign])
@pytest.mark.parametrize("n_groups", [1, 10])
def test_a_nonlinear_confounder_is_adjusted_for(shape, n_groups):
    held, errors = 0, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        w, group = rng.normal(size=100), np.arange(100) % n_groups
        f = 1.5 * shape(w)
        treated = rng.random(100) < 1 / (1 + np.exp(-2 * (f - np.median(f))))
        y = f + 0.5 * rng.normal(size=n_groups)[group] * (n_groups > 1) + 0.5 * rng.normal(size=100)
        columns = treated[:, None] * 1.0, np.column_stack([w, rng.normal(size=100)])
        effect = fit_effect(
            TreatmentRows(*columns, y, np.ones(100), group[:, None], np.zeros(100)), Normal()
        )
        ends = effect.rows(np.array([[1.0], [0.0]]), columns[1], effect.sample.codes)
        found = effect.compare(*ends)[0]
        low, high = found.interval()
        held, errors = held + (low <= 0 <= high), [*errors, found.value]
    # A linear adjustment holds 5 to 16 of 20, and is too large by .2 to .6.
    assert held >= 16
    assert abs(np.mean(errors)) < 0.12


def test_many_columns_are_chosen_from():
    rng = np.random.default_rng(0)
    W, group = rng.normal(size=(120, 30)), np.arange(120) % 10
    treated = (rng.random(120) < 1 / (1 + np.exp(-2 * W[:, 7]))) * 1.0
    y = treated + 2 * W[:, 7] + 0.5 * rng.normal(size=120)
    rest = np.ones(120), group[:, None], np.zeros(120)
    effect = fit_effect(TreatmentRows(treated[:, None], W, y, *rest), Normal())
    ends = effect.rows(np.array([[1.0], [0.0]]), W, effect.sample.codes)
    low, high = effect.compare(*ends)[0].interval()
    assert 7 in effect.design.kept
    assert len(effect.design.kept) < 30
    assert low < 1 < high


DATA = Path(__file__).parent / "data"


class Known(ContrastMixin):
    """The columns of a table, without an estimator."""

    def __init__(self, name, target, group, kind, numbers=()):
        with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        columns = []
        for column in rows[0]:
            values = [row[column] for row in rows]
            if column not in (target, group):
                labels = None if column in numbers else tuple(dict.fromkeys(values))
                if labels is not None:
                    values = [labels.index(value) for value in values]
                columns.append(Column(column, np.array(values, float), labels))
        y = np.array([float(row[target]) for row in rows])
        labels = list(dict.fromkeys(row[group] for row in rows))
        codes = np.array([[labels.index(row[group])] for row in rows])
        ones = np.ones(len(y))
        classes = [0, 1] if kind == "classes" else None
        factors = [(group, {label: k for k, label in enumerate(labels)})]
        self.rows = ReportTable(columns, codes, y, ones, ones, factors, kind, classes)

    def _rows_to_report(self, X):
        return self.rows


TABLES = {
    "sleepstudy": ("Reaction", "Subject", "real", ["Days"]),
    "Orthodont": ("distance", "Subject", "real", ["age"]),
    "BodyWeight": ("weight", "Rat", "real", ["Time"]),
    "cake": ("angle", "pair", "real"),
    "cbpp": ("sick", "herd", "classes"),
    "epil2": ("y", "subject", "count", ["Base", "Age", "Visit"]),
    "grouseticks": ("TICKS", "BROOD", "count", ["cHEIGHT"]),
    "flat": ("y", "clinic", "real", ["x"]),
}
with (DATA / "contrasts.csv").open() as file:
    FOUND = list(csv.DictReader(file))


# Shares of a standard error, and of a width. Likelihoods are restricted here, and are not in glmer
# and glmmTMB: with REML = TRUE, widths of cbpp are within 3 % (differences) and 10 % (ratios).
CLOSE = dict.fromkeys(TABLES, (1e-3, 0.005)) | {
    "cbpp": (0.2, 0.15),
    "epil2": (0.1, 0.1),
    "grouseticks": (0.1, 0.1),
}


@pytest.mark.parametrize("row", FOUND, ids=lambda row: f"{row['table']} {row['contrast']}")
def test_estimates_and_intervals_are_those_of_r(row):
    column, *ends = row["contrast"].split()
    target, group, kind, *numbers = TABLES[row["table"]]
    model = Known(row["table"], target, group, kind, *numbers)
    if any(column in names for names in numbers):
        ends = [float(end) for end in ends]
    # Whole patients are treated, whose age and number of seizures before are columns.
    is_warned = row["table"] == "epil2" and column == "trt"
    with pytest.warns(match="59 groups") if is_warned else contextlib.nullcontext():
        (ours,) = model.contrast(column, *ends).to_dict("records")
    estimate, low, high = (float(row[name]) for name in ("estimate", "lower", "upper"))
    value, lower, upper = (ours[name] for name in ("estimate", "lower", "upper"))
    if row["kind"] == "ratio":
        estimate, low, high = np.log([estimate, low, high])
        value, lower, upper = (np.log(ours[f"ratio{end}"]) for end in ("", "_lower", "_upper"))
    near, as_wide = CLOSE[row["table"]]
    assert abs(value - estimate) < near * (high - low) / 4
    assert (upper - lower) / (high - low) == pytest.approx(1, abs=as_wide)
