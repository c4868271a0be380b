"""Heads on embeddings of texts: ours and scikit-learn's, with 1 to 20 labelled rows of each class.

    python benchmarks/embeddings.py --sets report
    python benchmarks/embeddings.py --draws 2 --sizes 1 3

The sixteen sets of ``make_text_embeddings.py`` (384 columns). Every second one is for development,
on which choices were made; figures are reported on the others. Other rows, at most 400, are
predicted. Measures weight each class alike. Peers have scikit-learn's defaults; those without
probabilities are calibrated by sigmoids where each class has two rows, and otherwise have log loss
of their labels, smoothed by one half. Printed are means over sets of the means over draws, and what
is written to ``results/embeddings-<sets>.json``.
"""

import argparse
import json
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from make_text_embeddings import embeddings
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC
from small_tables import classify

from skmeta.few_shot import MetaFewShotClassifier

RESULTS = Path(__file__).parent / "results"
SIZES, N_QUERY = (1, 3, 5, 10, 20), 400


class Centroid(NearestCentroid):
    """Without probabilities, which are not defined with one row of each class."""

    @property
    def predict_proba(self) -> None:
        """Not there."""
        raise AttributeError


METHODS: dict[str, Callable[[], BaseEstimator]] = {
    "skmeta": lambda: MetaFewShotClassifier(device="cpu"),
    "ridge": RidgeClassifier,
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "discriminant": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "centroid": Centroid,
    "svc": SVC,
    "linear svc": lambda: SVC(kernel="linear"),
}


def draw(name: str, X: np.ndarray, y: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, ...]:
    """Known and other rows; a class keeps a third of its rows to be predicted."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), size, seed])
    parts = [rng.permutation(np.flatnonzero(y == c)) for c in range(y.max() + 1)]
    known = [min(size, len(part) - len(part) // 3) for part in parts]
    support = np.concatenate([part[:n] for part, n in zip(parts, known, strict=True)])
    query = np.concatenate([part[n:] for part, n in zip(parts, known, strict=True)])
    query = rng.permutation(query)[:N_QUERY]
    return X[support], y[support], X[query], y[query]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", choices=("development", "report"), default="development")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Of models that do not converge on so few rows.
    sets, records = embeddings(options.sets), []
    for size in options.sizes:
        print(f"\n{size} rows of each class: {len(sets)} sets, {options.draws} draws")
        for method in options.methods:
            if method == "discriminant" and size == 1:
                continue
            scores, began = [], time.process_time()
            for name, (X, y) in sets.items():
                for seed in range(options.draws):
                    part = draw(name, X.astype(np.float64), y.astype(int), size, seed)
                    scores.append(classify(METHODS[method](), part))
            record = {"size": size, "method": method, "draws": options.draws}
            for measure in ("accuracy", "log_loss"):
                record[measure] = round(float(np.mean([s[measure] for s in scores])), 4)
            record["seconds"] = round((time.process_time() - began) / len(scores), 3)
            records.append(record)
            print(
                f"{method:14}" + "".join(f"{v:10}" for v in list(record.values())[3:]), flush=True
            )
    path = RESULTS / f"embeddings-{options.sets}.json"
    path.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
