"""Estimates of models with several factors against lme4, glmmTMB and ordinal in R."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from mixed_tables import load_pastes, load_penicillin, load_sleepstudy

from skmeta._mixed import Classes, NegativeBinomial, Ordered, Poisson, fit

DATA = Path(__file__).parent / "data"


def read(name):
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def estimates(model):
    with (DATA / "estimates.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == model]
    return {row["name"]: float(row["value"]) for row in rows}


def table(name, y, columns, factors):
    """Rows with a leading 1, targets, and codes."""
    given = read(name)
    X = np.column_stack([np.ones(len(given[y])), *(given[column] for column in columns)])
    codes = np.column_stack([given[factor] for factor in factors]).astype(int)
    return X, given[y], np.column_stack([np.unique(c, return_inverse=True)[1] for c in codes.T])


def from_loader(loader):
    y, codes = loader()
    return np.ones((len(y), 1)), y, codes


def sleepstudy():
    days, y, subjects = load_sleepstudy()
    codes = np.unique(subjects, return_inverse=True)[1][:, None]
    return np.column_stack([np.ones(len(y)), days]), y, codes


NORMAL = {
    "sleepstudy": (sleepstudy, ["Subject"], {0: [0, 1]}),
    "penicillin": (lambda: from_loader(load_penicillin), ["plate", "sample"], {}),
    "pastes": (lambda: from_loader(load_pastes), ["batch", "sample"], {}),
    "cake": (
        lambda: table("cake", "angle", ["temp"], ["replicate", "pair"]),
        ["replicate", "pair"],
        {},
    ),
    "insteval": (
        lambda: table("insteval", "y", ["service"], ["student", "lecturer", "department"]),
        ["student", "lecturer", "department"],
        {},
    ),
    "machines": (
        lambda: table("machines", "score", ["b", "c"], ["worker", "pair"]),
        ["worker", "pair"],
        {},
    ),
    # Slopes within crossed factors.
    "oxboys": (
        lambda: table("oxboys", "height", ["age"], ["boy", "occasion"]),
        ["boy", "occasion"],
        {0: [0, 1]},
    ),
}


@pytest.mark.parametrize("name", list(NORMAL))
def test_regressions_are_those_of_lme4(name):
    load, factors, slopes = NORMAL[name]
    X, y, codes = load()
    centre, scale = y.mean(), y.std()
    units = np.maximum(X.std(0), 1.0 * (X.std(0) == 0))
    columns = [np.array(slopes.get(f, [0])) for f in range(len(factors))]
    model = fit(X / units, (y - centre) / scale, codes, columns=columns, rank=2)
    expected = estimates(name)
    of_fixed = scale * model.mean[0] / units + centre * (np.arange(len(units)) == 0)
    for k, value in enumerate(of_fixed):
        np.testing.assert_allclose(value, expected[f"fixed:{k}"], rtol=2e-4, atol=1e-4)
    for f, factor in enumerate(factors):
        deviations = scale * model.deviations[f][0] / units[columns[f]]
        for k, value in enumerate(deviations):
            np.testing.assert_allclose(value, expected[f"std:{factor}:{k}"], rtol=3e-3)
        if len(deviations) > 1:
            s = model.covariances[f][0]
            found = s[0, 1] / np.sqrt(s[0, 0] * s[1, 1])
            np.testing.assert_allclose(found, expected[f"correlation:{factor}"], atol=2e-3)
    np.testing.assert_allclose(scale * model.family.noise, expected["noise"], rtol=1e-4)
    if name == "sleepstudy":  # Bates et al. (2015), Fitting linear mixed-effects models using lme4
        errors = scale * np.sqrt(np.diag(model.mean_covariance)) / units
        np.testing.assert_allclose(errors, [6.825, 1.546], rtol=1e-3)
    # The density of targets and of fixed coefficients in other units.
    moved = (len(y) - X.shape[1]) * np.log(scale) + np.log(units).sum()
    likelihood = model.log_likelihood - moved
    np.testing.assert_allclose(likelihood, expected["log_likelihood"], atol=2e-3)


def indicators(values):
    return (values[:, None] == np.unique(values)[1:]).astype(float)


def fit_unrestricted(X, y, codes, family):
    """By the likelihood that glmer, glmmTMB and clmm maximise."""
    return fit(X, y, codes, family, is_restricted=False)


def compare(model, name, factors, fixed):
    expected = estimates(name)
    for f, factor in enumerate(factors):
        found = model.deviations[f][0, 0]
        np.testing.assert_allclose(found, expected[f"std:{factor}:0"], rtol=0.01)
    for k, value in fixed.items():
        np.testing.assert_allclose(value, expected[f"fixed:{k}"], atol=0.01)
    np.testing.assert_allclose(model.log_likelihood, expected["log_likelihood"], atol=0.02)


def test_two_classes_are_those_of_glmer():
    given = read("cbpp")
    parts = given["incidence"], given["size"] - given["incidence"]
    X = np.column_stack([np.ones(len(given["herd"])), indicators(given["period"])])
    rows, y, weight = np.vstack([X, X]), np.repeat([1, 0], len(X)), np.concatenate(parts)
    codes = np.tile(given["herd"].astype(int), 2)[:, None]
    model = fit(rows, y, codes, Classes(2), w=weight, is_restricted=False)
    # glmer counts the orders in which animals of a herd fall ill, too.
    from scipy.special import gammaln

    orders = gammaln(given["size"] + 1) - sum(gammaln(one + 1) for one in parts)
    expected = estimates("cbpp")
    np.testing.assert_allclose(model.mean[0], [expected[f"fixed:{k}"] for k in range(4)], atol=0.01)
    np.testing.assert_allclose(model.deviations[0], expected["std:herd:0"], rtol=0.01)
    likelihood = model.log_likelihood + orders.sum()
    np.testing.assert_allclose(likelihood, expected["log_likelihood"], atol=0.01)


def test_poisson_counts_are_those_of_glmer():
    given, factors = read("grouseticks"), ["brood", "index", "location"]
    n = len(given["ticks"])
    X = np.column_stack([np.ones(n), indicators(given["year"]), given["height"]])
    codes = np.column_stack([given[factor] for factor in factors]).astype(int)
    model = fit_unrestricted(X, given["ticks"], codes, Poisson())
    compare(model, "grouseticks", factors, dict(enumerate(model.mean[0])))


def test_rates_weighted_by_exposure_are_counts_with_an_offset():
    given = read("cbpp")
    X = np.column_stack([np.ones(len(given["herd"])), indicators(given["period"])])
    y, size = given["incidence"], given["size"]
    codes = given["herd"].astype(int)[:, None]
    model = fit(X, y / size, codes, Poisson(), w=size, is_restricted=False)
    expected = estimates("cbpp_exposure")
    np.testing.assert_allclose(model.mean[0], [expected[f"fixed:{k}"] for k in range(4)], atol=0.01)
    np.testing.assert_allclose(model.deviations[0], expected["std:herd:0"], rtol=0.01)
    # The constants of both likelihoods differ.
    from scipy.special import gammaln

    moved = y * np.log(size) - gammaln(y + 1) + size * gammaln(y / size + 1)
    likelihood = model.log_likelihood + moved.sum()
    np.testing.assert_allclose(likelihood, expected["log_likelihood"], atol=0.02)


def test_negative_binomial_counts_are_those_of_glmmtmb():
    X, y, codes = table("salamanders", "count", ["mined"], ["site", "species"])
    model = fit_unrestricted(X, y, codes, NegativeBinomial())
    compare(model, "salamanders", ["site", "species"], dict(enumerate(model.mean[0])))
    np.testing.assert_allclose(model.family.size, estimates("salamanders")["size"], rtol=0.01)


def test_ordered_classes_are_those_of_clmm():
    X, y, codes = table("wine", "rating", ["warm", "contact"], ["judge"])
    y = y.astype(int)
    model = fit_unrestricted(X, y, codes, Ordered.of(y, 5))
    compare(model, "wine", ["judge"], dict(enumerate(model.mean[0][1:], 1)))
    expected = [estimates("wine")[f"threshold:{k}"] for k in range(4)]
    found = model.family.thresholds - model.mean[0, 0]
    np.testing.assert_allclose(found, expected, atol=0.02)
