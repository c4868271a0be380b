"""A search whose fits run on a cluster, or that several processes share.

    python examples/search/on_a_cluster.py dask          # pip install "dask[distributed]"
    python examples/search/on_a_cluster.py dask --address tcp://scheduler:8786
    python examples/search/on_a_cluster.py ray           # pip install ray
    python examples/search/on_a_cluster.py spark         # pip install joblibspark
    python examples/search/on_a_cluster.py shared --history shared.db

Without an address, the cluster is on this machine. The first three run the fits of one search
through a backend of joblib. ``shared`` is one worker of a search that several processes share
through its history: start it several times, with a file on one machine or a URL on several.
"""

import argparse
from contextlib import ExitStack

import joblib
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory

SPACE = {"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-5, 1e-1)}


def connect(backend, address, opened):
    """Connect to a cluster until the stack is closed, and register joblib's backend for it."""
    if backend == "dask":
        from dask.distributed import Client, LocalCluster

        if address is None:
            address = opened.enter_context(
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            )
        opened.enter_context(Client(address))
    elif backend == "ray":
        import ray
        from ray.util.joblib import register_ray

        ray.init(address=address, num_cpus=None if address else 2, include_dashboard=False)
        opened.callback(ray.shutdown)
        register_ray()
    else:
        from joblibspark import register_spark

        register_spark()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backend", choices=["dask", "ray", "spark", "shared"])
    parser.add_argument("--address", help="of the cluster's scheduler")
    parser.add_argument("--history", default="shared.db", help="path or URL, for shared")
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--rows", type=int, default=1000)
    args = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X, y = X[: args.rows], y[: args.rows]
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=args.candidates, cv=4, random_state=0)
    with ExitStack() as opened:
        if args.backend == "shared":
            search.set_params(
                history=SearchHistory(args.history, mode="share"), name="on a cluster"
            )
        else:
            connect(args.backend, args.address, opened)
            opened.enter_context(joblib.parallel_config(args.backend))
            # Two candidates of four folds keep eight processors busy.
            search.set_params(n_jobs=8, batch_size=2)
        search.fit(X, y)
    n_own = len(search.cv_results_["params"]) - search.n_resumed_
    print(f"{n_own} of {len(search.cv_results_['params'])} candidates were evaluated here")
    print(f"best accuracy {search.best_score_:.3f} with {search.best_params_}")


if __name__ == "__main__":
    main()
