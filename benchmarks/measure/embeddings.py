"""Heads on embeddings of texts: ours and scikit-learn's, with 1 to 20 labelled rows of each class.

    python -m benchmarks.measure.embeddings --sets report
    python -m benchmarks.measure.embeddings --draws 2 --sizes 1 3

The sixteen sets of ``make/text_embeddings.py`` (384 columns). Every second one is for development,
on which choices were made; figures are reported on the others. Other rows, at most 400, are
predicted. Measures weight each class alike. Peers have scikit-learn's defaults; those without
probabilities are calibrated by sigmoids where each class has two rows, and otherwise have log loss
of their labels, smoothed by one half. ``lib/comparison.py`` says how results are kept.
"""

import argparse
import zlib

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC

from benchmarks.lib.comparison import RESULTS, add_options, compare
from benchmarks.lib.table_scores import classify
from benchmarks.lib.tabular_sets import N_QUERY, split_classes
from benchmarks.make.text_embeddings import embeddings
from skmeta.few_shot import MetaFewShotClassifier


class Centroid(NearestCentroid):
    """Without probabilities, which are not defined with one row of each class."""

    @property
    def predict_proba(self) -> None:
        """Not there."""
        raise AttributeError


METHODS: dict[str, BaseEstimator] = {
    "ridge": RidgeClassifier(),
    "logistic": LogisticRegression(max_iter=1000),
    "discriminant": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "centroid": Centroid(),
    "svc": SVC(),
    "linear svc": SVC(kernel="linear"),
    "skmeta": MetaFewShotClassifier(device="cpu"),
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, ("development", "report"))
    parser.set_defaults(sizes=(1, 3, 5, 10, 20), draws=3)
    options = parser.parse_args()
    options.results = options.results or RESULTS / f"embeddings-{options.sets}.jsonl.gz"
    sets = embeddings(options.sets)

    def score(model: BaseEstimator, name: str, size: int, seed: int) -> dict | None:
        if size == 1 and isinstance(model, LinearDiscriminantAnalysis):
            return None
        X, y = sets[name]
        rng = np.random.default_rng([zlib.crc32(name.encode()), size, seed])
        known, others = split_classes(rng, y, size)
        others = rng.permutation(others)[:N_QUERY]
        return classify(
            model, (X[known].astype(float), y[known], X[others].astype(float), y[others])
        )

    methods = {name: lambda _, model=model: clone(model) for name, model in METHODS.items()}
    measures = ("accuracy", "log_loss", "seconds")
    compare(options, methods, list(sets), score, measures, "skmeta", " rows of each class")


if __name__ == "__main__":
    main()
