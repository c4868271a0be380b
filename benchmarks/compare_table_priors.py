"""Two priors for tables on the same draws of real sets that neither has seen.

    SKMETA_DATA=... python benchmarks/compare_table_priors.py regression
    SKMETA_DATA=... python benchmarks/compare_table_priors.py classification

By default the prior for regressions that ships is compared with the one that was trained on
synthetic tables only, and the classifier of the first half of the origins with the one before it
saw tables of R packages. Sets are those of the second half of the origins, development and report
sets, as these priors have seen the first. Sizes are known rows, of each class in a classification.
Printed are the means of the measures, and the mean change with a 95% interval by a bootstrap over
sets: of the error and the log loss in percent, of the balanced accuracy in points.
"""

import argparse
from pathlib import Path

import numpy as np
from origins import half_of
from small_tables import classify, draw, regress
from tabular_sets import names_of

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaPrior
from skmeta.priors import load_table_prior

RESULTS = Path(__file__).parent / "results"
BEFORE = {
    "regression": RESULTS / "tables-regression-synthetic.skmeta",
    "classification": RESULTS / "tables-classification-first-before.skmeta",
}
FIRST = RESULTS / "tables-classification-first.skmeta"
# Draws of each size.
DRAWS = {
    "regression": {10: 3, 20: 3, 50: 3, 150: 2, 400: 2},
    "classification": {3: 2, 5: 2, 10: 2, 20: 2},
}
MEASURES = {"regression": ("error", "coverage"), "classification": ("log_loss", "accuracy")}


def measure(kind: str, prior: MetaPrior, name: str, size: int) -> list[float] | None:
    """Mean measures over the draws of a set; None if it has too few rows."""
    draws = [draw(kind, name, size, k) for k in range(DRAWS[kind][size])]
    if any(min(map(len, part)) == 0 for part in draws):
        return None
    if kind == "regression":
        scores = [regress(MetaFewShotRegressor(prior, device="cpu"), part) for part in draws]
    else:
        scores = [classify(MetaFewShotClassifier(prior, device="cpu"), part) for part in draws]
    return [float(np.mean([s[key] for s in scores])) for key in MEASURES[kind]]


def interval(change: np.ndarray) -> str:
    """The mean of the change, and its interval."""
    rng = np.random.default_rng(0)
    means = change[rng.integers(len(change), size=(2000, len(change)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{change.mean():+.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=DRAWS)
    parser.add_argument("prior", type=Path, nargs="?")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*")
    options = parser.parse_args()
    kind = options.kind
    if options.prior is None and kind == "regression":
        prior = load_table_prior(kind)
    else:
        # The classifier that ships has seen both halves of the origins.
        prior = MetaPrior.load(options.prior or FIRST)
    priors = prior, MetaPrior.load(options.before or BEFORE[kind])
    names = [name for name in names_of(kind) if half_of(name) == "second"]
    for size in options.sizes or DRAWS[kind]:
        found = [[measure(kind, prior, name, size) for prior in priors] for name in names]
        values = np.array([pair for pair in found if None not in pair])
        of_loss = 100 * np.log(values[:, 0, 0] / values[:, 1, 0])
        text = f"{size} rows, {len(values)} sets: {MEASURES[kind]} {values[:, 0].mean(0).round(3)}"
        text += f", before {values[:, 1].mean(0).round(3)}; loss {interval(of_loss)} %"
        if kind == "classification":
            text += f", accuracy {interval(100 * (values[:, 0, 1] - values[:, 1, 1]))} points"
        print(text, flush=True)


if __name__ == "__main__":
    main()
