"""Priors of searches: what they know, and those of several parts."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior, resemblance
from skmeta.search.record import PastSearch

C = np.geomspace(1e-3, 1e3, 25)
CONFIGURATIONS = tuple({"SVC.C": float(c), "SVC.kernel": k} for c in C for k in ("rbf", "poly"))
# The same numbers at other addresses: kernels that read them by address round in other places.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


def assert_agree(found, expected):
    assert found.datasets == expected.datasets
    assert found.parameters == expected.parameters
    np.testing.assert_allclose(found.levels, expected.levels, rtol=1e-6)
    F, G = found.surfaces(CONFIGURATIONS), expected.surfaces(CONFIGURATIONS)
    np.testing.assert_allclose(F, G, atol=2e-3)  # length scales come from an optimiser


def make_search(task, n=50, **fields):
    """Scores that fall off with the distance from the task's best value of C."""
    rng = np.random.default_rng(task)
    distance = np.array([np.log10(c["SVC.C"]) - 0.5 * task for c in CONFIGURATIONS[:n]])
    kernel = np.array([c["SVC.kernel"] == "rbf" for c in CONFIGURATIONS[:n]])
    scores = 0.6 + 0.3 * np.exp(-(distance**2) / 4) + 0.05 * kernel
    return PastSearch(
        dataset=f"set {task}",
        configurations=CONFIGURATIONS[:n],
        scores=scores + 0.002 * rng.standard_normal(n),
        **fields,
    )


@pytest.fixture(scope="module")
def searches():
    return [make_search(task) for task in range(4)]


@pytest.fixture(scope="module")
def prior(searches):
    return SearchPrior.from_searches(searches)


def test_it_says_what_it_knows(prior):
    assert len(prior) == prior.n_tasks == 4
    assert prior.datasets == ("set 0", "set 1", "set 2", "set 3")
    assert prior.parameters == ("SVC.C", "SVC.kernel")
    assert prior.n_evaluations == 200
    assert prior.metrics == ("score",)
    assert prior.uncertainty.shape == prior.noise.shape == (4,)
    assert repr(prior) == "SearchPrior(4 tasks, 200 evaluations of 2 parameters, metric 'score')"
    np.testing.assert_array_equal(prior.task_weights, [0.25] * 4)


def test_surfaces_are_the_scores_smoothed(prior, searches):
    F = prior.surfaces(CONFIGURATIONS)
    for t, search in enumerate(searches):
        assert np.corrcoef(F[t], search.scores)[0, 1] > 0.99
        location, scale = prior.levels[t]
        np.testing.assert_allclose(location + scale * F[t], search.scores, atol=0.01)


def test_a_path_or_a_history_is_no_list_of_searches(tmp_path):
    for wrong in ("searches.db", SearchHistory(tmp_path / "searches.db")):
        with pytest.raises(TypeError, match=r"must be a list of past searches, such as .*, got "):
            SearchPrior.from_searches(wrong)


def test_one_absurd_score_does_not_hide_the_others(searches):
    [search] = searches[:1]
    worst = int(np.argmin(search.scores))
    scores = search.scores.copy()
    scores[worst] = -1e9
    absurd = PastSearch(dataset="a", configurations=CONFIGURATIONS, scores=scores)
    F, G = (SearchPrior.from_searches([s]).surfaces(CONFIGURATIONS)[0] for s in (search, absurd))
    kept = np.arange(len(F)) != worst
    assert np.corrcoef(F[kept], G[kept])[0, 1] > 0.95


def test_searches_that_say_nothing_are_left_out(prior, searches):
    n = len(CONFIGURATIONS)
    silent = [
        PastSearch(dataset="constant", configurations=CONFIGURATIONS, scores=np.full(n, 0.4)),
        PastSearch(dataset="failed", configurations=CONFIGURATIONS, scores=np.full(n, np.nan)),
        PastSearch(dataset="empty", configurations=(), scores=np.empty(0)),
    ]
    assert_agree(SearchPrior.from_searches([*silent, *searches]), prior)
    nothing = SearchPrior.from_searches(silent)
    assert len(nothing) == nothing.n_evaluations == 0
    assert nothing.surfaces(CONFIGURATIONS).shape == (0, n)


def test_without_data_sets(prior):
    left = prior.without(datasets=["set 1", "unknown"])
    assert left.datasets == ("set 0", "set 2", "set 3")
    F, G = left.surfaces(CONFIGURATIONS), prior.surfaces(CONFIGURATIONS)
    np.testing.assert_allclose(F, G[[0, 2, 3]], **ROUNDING)
    np.testing.assert_array_equal(left.levels, prior.levels[[0, 2, 3]])
    assert left.n_evaluations == 150
    assert len(prior) == 4, "the prior itself is as it was"
    assert prior.without(datasets=["unknown"]) is prior
    assert len(prior.without(datasets=prior.datasets)) == 0


def test_without_data_of_a_digest_or_of_shared_rows():
    # Rows that occur once, and twice, and the hashes of those that occur once.
    sketches = [(4, 0, 1, 2, 3, 4), (4, 0, 1, 2, 8, 9), (4, 0, 6, 7, 8, 9), ()]
    prior = SearchPrior.from_searches(
        [
            make_search(t, data_sketch=sketch, data_digest=f"d{t}" if t else "")
            for t, sketch in enumerate(sketches)
        ]
    )
    assert prior.without(data_sketch=sketches[0]).datasets == ("set 2", "set 3")
    assert prior.without(data_sketch=()) is prior
    assert prior.without(data_digests=["d2", ""]).datasets == ("set 0", "set 1", "set 3")
    replaced = prior.with_datasets({"set 3": sketches[0]}, {})
    assert replaced.without(data_sketch=sketches[0]).datasets == ("set 0", "set 1", "set 2")


def test_select_datasets(prior):
    ordered = prior.select_datasets(["set 2", "set 0"])
    assert ordered.datasets == ("set 2", "set 0")
    expected = prior.surfaces(CONFIGURATIONS)[[2, 0]]
    np.testing.assert_allclose(ordered.surfaces(CONFIGURATIONS), expected, **ROUNDING)


@pytest.fixture(scope="module")
def described():
    """Twelve searches whose best value of C goes with a feature of the data set."""
    kinds = [t % 3 for t in range(12)]
    searches = [
        replace(make_search(kind), dataset=f"set {t:02}", dataset_features={"size": float(kind)})
        for t, kind in enumerate(kinds)
    ]
    return SearchPrior.from_searches(searches)


def test_past_searches_on_similar_data_weigh_more(described):
    conditioned = described.conditioned_on({"size": 2.0})
    assert described.task_weights.tolist() == [1 / 12] * 12, "the prior itself is as it was"
    np.testing.assert_allclose(conditioned.task_weights.sum(), 1)
    alike = np.arange(12) % 3 == 2
    assert conditioned.task_weights[alike].sum() > 0.8
    assert conditioned.pooled_weights.tolist() == [1 / 12] * 12


def test_saved_and_loaded_agree(prior, tmp_path):
    path = tmp_path / "svc.safetensors"
    prior.save(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "a temporary file was left"
    loaded = SearchPrior.load(str(path))
    assert loaded == prior
    assert hash(loaded) == hash(prior)
    found = loaded.surfaces(CONFIGURATIONS)
    np.testing.assert_allclose(found, prior.surfaces(CONFIGURATIONS), **ROUNDING)


def test_it_cannot_be_changed(prior):
    with pytest.raises(AttributeError, match="immutable, so 'n_tasks' cannot be set"):
        prior.n_tasks = 3
    with pytest.raises(AttributeError, match="immutable, so '_tasks' cannot be deleted"):
        del prior._tasks
    for tensor in prior._tensors.values():
        with pytest.raises(ValueError, match="read-only"):
            tensor[:] = 0


def test_copies_share_it(prior):
    assert copy.copy(prior) is copy.deepcopy(prior) is clone(prior) is prior
    assert pickle.loads(pickle.dumps(prior)) == prior


def make_searches(estimator, n_tasks, *, best=1.0, level=0.5, scale=0.1, prefix="set", step=0.1):
    """Tasks whose scores fall off with the distance from the best value."""
    searches = []
    for task in range(n_tasks):
        optimum = np.log10(best) + step * task
        scores = level + scale * np.exp(-((np.log10(C) - optimum) ** 2) / 4)
        configurations = tuple({f"{estimator}.C": float(c)} for c in C)
        searches.append(
            PastSearch(
                dataset=f"{prefix} {task}",
                configurations=configurations,
                scores=scores,
                dataset_features={"size": float(task)},
            )
        )
    return searches


def make_prior(*args, **kwargs):
    return SearchPrior.from_searches(make_searches(*args, **kwargs))


def test_both_parts_of_a_joint_prior_are_heard():
    own, shipped = make_prior("SVC", 2, best=10), make_prior("SVC", 6, best=0.1, prefix="other")
    joint = JointPrior(own, shipped)
    configurations = [{"SVC.C": float(c)} for c in C]
    Z = joint.encode(configurations, {"SVC.C"})
    F = joint.surfaces_of(Z)
    assert len(joint) == len(joint.datasets) == len(F) == 8
    np.testing.assert_allclose(F[:2], own.surfaces(configurations), atol=1e-5)
    np.testing.assert_allclose(F[2:], shipped.surfaces(configurations), atol=1e-5)
    # Distances are about those of the parts.
    Z_own, Z_shipped = (p.encode(configurations, {"SVC.C"}) for p in (own, shipped))
    between = ((Z[0] - Z[-1]) ** 2).sum()
    of_parts = [((z[0] - z[-1]) ** 2).sum() for z in (Z_own, Z_shipped)]
    np.testing.assert_allclose(between, np.mean(of_parts))


def test_the_more_the_user_has_searched_the_more_it_weighs():
    shipped = make_prior("SVC", 10)
    shares = []
    for n in (1, 5, 50):
        weights = JointPrior(make_prior("SVC", n, prefix="own"), shipped).task_weights
        np.testing.assert_allclose(weights.sum(), 1)
        assert weights[0] > weights[-1], "one of the user's own tasks weighs more than another's"
        shares.append(weights[:n].sum())
    assert shares == sorted(shares)
    np.testing.assert_allclose(shares[1], 0.5)


@pytest.fixture
def choice():
    return AlgorithmSelectionPrior(
        {
            "SVC": make_prior("SVC", 5, best=1, level=0.5, scale=0.3),
            "LogisticRegression": make_prior("LogisticRegression", 7, best=100, level=0.7),
        }
    )


def test_the_levels_of_estimators_compare(choice):
    configurations = [{"SVC.C": 1.0}, {"SVC.C": 1e-3}, {"LogisticRegression.C": 100.0}]
    configurations += [{"LogisticRegression.C": 1e-3}, {"GaussianNB.var_smoothing": 1e-9}]
    Z = choice.encode(configurations, {"SVC.C", "LogisticRegression.C"})
    assert Z.shape == (5, choice.n_columns)
    F = choice.surfaces_of(Z)
    assert choice.datasets == tuple(f"set {t}" for t in range(5)), "those that both know"
    # .8, .5, .8, .7 were scored.
    assert (F[:, 0] > F[:, 3]).all()
    assert (F[:, 2] > F[:, 3]).all()
    assert (F[:, 3] > F[:, 1]).all()
    np.testing.assert_array_equal(F[:, 4], 0)
    # Another estimator is at a distance.
    assert ((Z[0] - Z[2]) ** 2).sum() >= 1


def test_a_choice_is_searched_with_what_is_known_of_each():
    X, y = load_wine(return_X_y=True)
    listed = [make_pipeline(StandardScaler(), KNeighborsClassifier()), DecisionTreeClassifier()]
    search = MetaLearnedSearchCV(listed, n_iter=6, cv=3, random_state=0, scoring="accuracy")
    search.fit(X, y)
    assert isinstance(search.prior_, AlgorithmSelectionPrior)
    assert len(search.prior_) > 20
    assert search.cv_results_["source"][0] == "initial design"
    assert search.best_score_ > 0.9
    # Its prior serves another search, and leaves out data sets.
    another = clone(search).set_params(n_iter=3, prior=search.prior_).fit(X, y)
    assert another.best_params_.keys() == search.best_params_.keys()
    assert another.prior_.datasets == search.prior_.datasets
    assert "wine_recognition" not in search.prior_.datasets
    every = clone(search).set_params(n_iter=3, learn_from_same_data=True).fit(X, y).prior_
    assert set(every.datasets) - set(search.prior_.datasets) == {"wine_recognition"}
    left = every.without(datasets=["wine_recognition"])
    assert left.datasets == search.prior_.datasets


def tasks(n=30, n_configurations=50, seed=0):
    """Tasks whose surfaces follow the first of two features."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 2))
    grid = np.linspace(0, 1, n_configurations)
    surfaces = np.exp(-((grid - features[:, :1]) ** 2) / 0.02)
    return surfaces, [{"a": a, "b": b} for a, b in features]


def test_weights_are_those_of_a_process_with_an_unknown_mean():
    """A very large variance of the mean is an unknown mean."""
    rng = np.random.default_rng(0)
    rows, noise = rng.standard_normal((12, 2)), rng.random(12)
    rows = (rows - rows.mean(0)) / rows.std(0)
    features = [{"a": a, "b": b} for a, b in rows]
    found, _ = resemblance(noise, features, {"a": 0.3, "b": -0.2})
    alpha = (noise + 0.3) / (noise + 0.3).mean()
    kernel = RBF(np.sqrt(2), "fixed") + ConstantKernel(1e7, "fixed")
    process = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None).fit(rows, np.eye(12))
    weights = np.maximum(process.predict([[0.3, -0.2]])[0], 0)
    np.testing.assert_allclose(found, weights / weights.sum(), atol=1e-5)


def test_features_that_tell_set_the_mean():
    surfaces, features = tasks()
    [new], [present] = tasks(1, seed=3)
    weights, _ = resemblance(np.full(30, 0.01), features, present)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(), 1)
    error, error_without = (
        abs((w @ surfaces) - new).mean() for w in (weights, np.full(30, 1 / 30))
    )
    assert error < 0.8 * error_without
