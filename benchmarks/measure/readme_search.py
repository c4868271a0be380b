"""The card of a search in README: ours beside a random search, over seeds.

    python -m benchmarks.measure.readme_search [--seeds 20]

A support vector machine is tuned on scikit-learn's breast cancer data, with the code of README. Its
rows are not among those that the shipped prior learned from. The space is the same, and so are the
folds. Results go to ``benchmarks/results/readme_search.json``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import t
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta import MetaLearnedSearchCV
from skmeta.search import default_search_space

RESULTS = Path(__file__).parents[1] / "results" / "readme_search.json"
N_ITER = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    X, y = load_breast_cancer(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), SVC())
    space = default_search_space(pipe)
    kinds = {"random": RandomizedSearchCV, "ours": MetaLearnedSearchCV}
    scores = {
        name: [
            kind(pipe, space, n_iter=N_ITER, random_state=seed).fit(X, y).best_score_
            for seed in range(options.seeds)
        ]
        for name, kind in kinds.items()
    }
    difference = np.subtract(scores["ours"], scores["random"])
    half = t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference))
    record = {
        "seeds": options.seeds,
        **{name: round(float(np.mean(own)), 4) for name, own in scores.items()},
        "difference": round(float(difference.mean()), 4),
        "interval": [round(float(difference.mean() + sign * half), 4) for sign in (-1, 1)],
        "first seed": {name: round(own[0], 4) for name, own in scores.items()},
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
