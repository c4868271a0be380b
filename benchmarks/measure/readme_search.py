"""The card of a search in README: ours beside a random search, over seeds.

    python -m benchmarks.measure.readme_search --seeds 20

A support vector machine is tuned on scikit-learn's breast cancer data, with the code of README. Its
rows are not among those that the shipped prior learned from. The space is the same, and so are the
folds.
"""

import numpy as np
from scipy.stats import t
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.lib.resumable import RESULTS, read_options, report
from skmeta import MetaLearnedSearchCV
from skmeta.search import default_search_space


def main():
    seeds = range(read_options(__doc__, seeds=20).seeds)
    X, y = load_breast_cancer(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), SVC())
    space = default_search_space(pipe)
    kinds = {"random": RandomizedSearchCV, "ours": MetaLearnedSearchCV}
    scores = {
        name: [kind(pipe, space, n_iter=10, random_state=s).fit(X, y).best_score_ for s in seeds]
        for name, kind in kinds.items()
    }
    difference = np.subtract(scores["ours"], scores["random"])
    half = t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference))
    record = {
        "seeds": len(seeds),
        **{name: round(float(np.mean(own)), 4) for name, own in scores.items()},
        "difference": round(float(difference.mean()), 4),
        "interval": [round(float(difference.mean() + sign * half), 4) for sign in (-1, 1)],
        "first seed": {name: round(own[0], 4) for name, own in scores.items()},
    }
    report(record, RESULTS / "readme_search.json")


if __name__ == "__main__":
    main()
