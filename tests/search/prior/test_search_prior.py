import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from skmeta.search import SearchHistory, SearchPrior
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
