"""Whether 90 % intervals of rates hold the truth, in drawn tables of places.

    python -m benchmarks.measure.rates --seeds 200

``districts`` are 56 places with a row each, and expected counts from 1 to 90. ``states`` are 51
places with seven rows each, whose counts vary more than Poisson counts do. One column explains a
part of the differences, and places have effects of their own. ``DISTRIBUTIONS`` are of 25 places
with a row each and exposures from 1 to 20, without a column. Lines have the share of intervals that
hold, and their mean width on the logarithm.
"""

import numpy as np

from benchmarks.lib.resumable import RESULTS, group_lines, run_or_summarize
from skmeta._reporting._effect import TreatmentRows
from skmeta._reporting._rates import fit_rates

PATH = RESULTS / "rates.jsonl"
LEVEL = 0.9
# Places, rows of each, mean and deviation of log exposures, deviation of effects, and the size of
# the negative binomial.
KINDS = {"districts": (56, 1, 1.8, 1.0, 0.6, np.inf), "states": (51, 7, 4.0, 1.0, 0.3, 50.0)}
DISTRIBUTIONS = {
    "gamma": lambda n, rng: rng.gamma(1.2, 1 / 1.2, n),
    "log-normal": lambda n, rng: np.exp(rng.normal(-0.32, 0.8, n)),
    "uniform": lambda n, rng: rng.uniform(0.2, 1.8, n),
    "two rates": lambda n, rng: rng.choice([0.5, 1.5], n),
}
N_PLACES, MEANS = 25, (0.05, 0.2, 1.0)


def draw_distribution(kind, rng):
    """Return a sample of counts whose rates have a distribution, and its rates."""
    name, mean = kind.split(", ")
    exposure = rng.uniform(1, 20, N_PLACES)
    rate = float(mean) * DISTRIBUTIONS[name](N_PLACES, rng)
    y, none = rng.poisson(exposure * rate).astype(float), np.empty((N_PLACES, 0))
    places = np.arange(N_PLACES)[:, None]
    return TreatmentRows(none, none, y, np.ones(N_PLACES), places, np.log(exposure)), rate


def draw(kind, rng):
    """Return a sample of counts, and its rates."""
    if kind not in KINDS:
        return draw_distribution(kind, rng)
    n_places, n_rows, log_mean, log_std, std, size = KINDS[kind]
    place = np.repeat(np.arange(n_places), n_rows)
    exposure = np.exp(rng.normal(log_mean, log_std, n_places))[place]
    x = rng.normal(size=len(place))
    rate = np.exp(0.1 + 0.35 * x + std * rng.normal(size=n_places)[place])
    noise = 1.0 if np.isinf(size) else rng.gamma(size, 1 / size, len(place))
    y = rng.poisson(exposure * rate * noise).astype(float)
    none, ones = np.empty((len(y), 0)), np.ones(len(y))
    return TreatmentRows(none, x[:, None], y, ones, place[:, None], np.log(exposure)), rate


def run(cell):
    """Return the line of a table."""
    kind, seed = cell
    sample, rate = draw(kind, np.random.default_rng([seed, *kind.encode()]))
    try:
        _, _, lower, upper = fit_rates(sample, sample.others, sample.codes, LEVEL)
    except ValueError:  # too few events
        return {"cell": cell, "held": None, "width": None}
    held = float(((lower <= rate) & (rate <= upper)).mean())
    width = float(np.log(upper / lower).mean())
    return {"cell": cell, "held": round(held, 4), "width": round(width, 3)}


def cells(seeds):
    """Yield the tables."""
    kinds = [*KINDS, *(f"{name}, {mean}" for name in DISTRIBUTIONS for mean in MEANS)]
    yield from ((kind, seed) for seed in seeds for kind in kinds)


def summarize(lines):
    """Return the means by kind."""
    answered = {cell: line for cell, line in lines.items() if line["held"] is not None}
    return {
        kind: {name: float(np.mean([a[name] for a in own])) for name in ("held", "width")}
        for kind, own in group_lines(answered, lambda cell: cell[0]).items()
    }


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, PATH)
