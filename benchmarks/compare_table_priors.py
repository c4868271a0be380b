"""Two priors for regressions on the same draws of real tables that neither has seen.

    SKMETA_DATA=... python benchmarks/compare_table_priors.py FILE --before FILE

By default the prior that ships is compared with the one it was trained from. Sets are those of the
second half of the origins, development and report sets, as the prior that ships has seen the first.
Printed are the mean errors, how often 90% intervals hold the target, and the mean change of the
error in percent with a 95% interval by a bootstrap over sets.
"""

import argparse
from pathlib import Path

import numpy as np
from origins import half_of
from small_tables import draw, names_of, regress

from skmeta import MetaFewShotRegressor, MetaPrior
from skmeta.priors import load_table_prior

RESULTS = Path(__file__).parent / "results"
DRAWS = {10: 3, 20: 3, 50: 3, 150: 2, 400: 2}


def measure(prior: MetaPrior, name: str, size: int) -> tuple[float, float] | None:
    """Mean error and coverage over the draws of a set; None if it has too few rows."""
    draws = [draw("regression", name, size, k) for k in range(DRAWS[size])]
    if any(min(map(len, part)) == 0 for part in draws):
        return None
    scores = [regress(MetaFewShotRegressor(prior, device="cpu"), part) for part in draws]
    return tuple(float(np.mean([s[key] for s in scores])) for key in ("error", "coverage"))


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prior", type=Path, nargs="?")
    parser.add_argument(
        "--before", type=Path, default=RESULTS / "tables-regression-synthetic.skmeta"
    )
    parser.add_argument("--sizes", type=int, nargs="*", choices=DRAWS, default=list(DRAWS))
    options = parser.parse_args()
    prior = MetaPrior.load(options.prior) if options.prior else load_table_prior("regression")
    priors = prior, MetaPrior.load(options.before)
    names = [name for name in names_of("regression") if half_of(name) == "second"]
    for size in options.sizes:
        found = [[measure(prior, name, size) for prior in priors] for name in names]
        values = np.array([pair for pair in found if None not in pair])
        change = np.log(values[:, 0, 0] / values[:, 1, 0])
        rng = np.random.default_rng(0)
        means = change[rng.integers(len(change), size=(2000, len(change)))].mean(1)
        low, high = 100 * np.expm1(np.quantile(means, [0.025, 0.975]))
        print(
            f"{size} rows, {len(values)} sets: error and coverage {values[:, 0].mean(0).round(3)}, "
            f"before {values[:, 1].mean(0).round(3)}; {100 * np.expm1(change.mean()):+.1f}% "
            f"({low:.1f} to {high:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
