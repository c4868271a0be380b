"""Histories leave as tables and files, and measurements come in from elsewhere."""

import gzip
import json
import math
import warnings

import numpy as np
import optuna
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from scipy.stats import loguniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, HistoryFormatError, HistoryWarning
from skmeta.search import ReadOnlyHistory, SearchHistory
from skmeta.search.record import Evaluation, SearchRecord, fingerprint_data

NAN, INF = math.nan, math.inf
SUFFIXES = [".jsonl", ".jsonl.gz", ".parquet"]


@pytest.fixture(autouse=True)
def quiet_optuna():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def make_history(address=":memory:"):
    """A history with every kind of value, a search without candidates, and a finished one."""
    history = SearchHistory(address)
    record = SearchRecord(
        fingerprint="a",
        dataset="cafés",
        data_digest="abc",
        data_sketch=(1, 2**31 - 1),
        estimator="SVC|Ridge",
        signature="Pipeline(StandardScaler, SVC)",
        space={"SVC.C": "loguniform(0.1, 10)"},
        cv="KFold(2)",
        metrics={"accuracy": 1, "loss": -1},
        refit_metric="loss",
        metafeatures={"a": NAN, "b": 0.1},
        versions={"scikit-learn": "1.9.1"},
    )
    search_id = history.begin(record)
    for key, value in {
        "one": 0.1 + 0.2,
        "two": INF,
        "three": NAN,
        "four": None,
        "five": "x",
    }.items():
        evaluation = Evaluation(
            configuration={"SVC.C": value, "SVC.shrinking": True, "SVC.max_iter": -1},
            key=key,
            scores={"accuracy": (0.5, 1 / 3), "loss": (NAN, -INF)},
            train_scores={} if value is None else {"loss": (1.0, 2.0)},
            fit_times=(0.1, 0.2),
            error="ValueError: no" if value is None else None,
            source="prior",
        )
        history.record(search_id, evaluation)
    history.finish(search_id)
    history.begin(
        SearchRecord(
            fingerprint="b", dataset="d", estimator="SVC", metrics={"m": 1}, refit_metric="m"
        )
    )
    return history


def content(history):
    return [repr(search) for search in history]


# Files.


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_holds_all_of_it(suffix, tmp_path):
    history, path = make_history(), tmp_path / f"export{suffix}"
    history.export(path)
    other = SearchHistory().merge(path)
    assert content(other) == content(history)
    assert content(other.merge(path)) == content(history)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    # A file that is there is replaced.
    SearchHistory().export(str(path))
    assert content(SearchHistory().merge(str(path))) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_there_stays_and_what_is_new_is_added(suffix, tmp_path):
    history, path = make_history(), tmp_path / f"export{suffix}"
    history.export(path)
    other = SearchHistory()
    [full, _] = history
    search_id = other.begin(full.record)
    mine = Evaluation(configuration={}, key="one", scores={"loss": (0.0,)})
    other.record(search_id, mine)
    other.merge(path)
    merged = other.evaluations("a")
    assert merged[0] == mine
    assert [e.key for e in merged] == ["one", "two", "three", "four", "five"]
    assert [search.finished is not None for search in other] == [True, False]


@pytest.mark.parametrize("make", [lambda p: p, str, SearchHistory, ReadOnlyHistory])
def test_another_history_is_merged(make, tmp_path):
    path = tmp_path / "other.db"
    history = make_history(path)
    assert content(SearchHistory().merge(make(path))) == content(history)
    assert content(history.merge(history)) == content(SearchHistory(path))


def test_merging_what_is_not_there_creates_nothing(tmp_path):
    for name in ["none.db", *(f"none{suffix}" for suffix in SUFFIXES)]:
        with pytest.raises(HistoryError, match=r"does not exist|is not a file"):
            SearchHistory().merge(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_other_programs_read_the_files(tmp_path):
    history = make_history()
    history.export(tmp_path / "a.jsonl")
    history.export(tmp_path / "a.parquet")
    texts = (tmp_path / "a.jsonl").read_text().splitlines()

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    lines = [json.loads(text, parse_constant=refuse) for text in texts]
    assert lines[0] == {"format": "skmeta.history", "version": 1}
    assert lines[1]["search"]["dataset"] == "cafés"
    assert lines[2]["evaluation"]["configuration"]["SVC.C"] == 0.1 + 0.2
    assert lines[2]["evaluation"]["scores"] == {
        "accuracy": [0.5, 1 / 3],
        "loss": [None, "-Infinity"],
    }
    frame = pl.read_parquet(tmp_path / "a.parquet")
    assert frame["key"].to_list() == ["one", "two", "three", "four", "five", None]
    assert frame["dataset"].to_list() == ["cafés"] * 5 + ["d"]


@pytest.mark.parametrize("name", ["export.csv", "export", "export.json"])
def test_a_suffix_that_says_nothing(name, tmp_path):
    with pytest.raises(HistoryFormatError, match=r"Give it one of \.jsonl, .* or \.parquet"):
        make_history().export(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_folder_is_named(suffix, tmp_path):
    with pytest.raises(HistoryError, match=r"does not exist\. Create it"):
        make_history().export(tmp_path / "nowhere" / f"a{suffix}")


def test_files_that_are_not_exported_histories(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    (tmp_path / "table.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "empty.jsonl").write_text("")
    for path in tmp_path.iterdir():
        with pytest.raises(HistoryFormatError, match="is not an exported history"):
            SearchHistory().merge(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_newer_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        make_history().export(path)
        table = pq.read_table(path)
        pq.write_table(
            table.replace_schema_metadata({"format": "skmeta.history", "version": "2"}), path
        )
    else:
        opener = gzip.open if suffix.endswith("gz") else open
        with opener(path, "wt") as file:
            file.write('{"format": "skmeta.history", "version": 2}\n')
    with pytest.raises(HistoryFormatError, match=r"has format 2, .* Upgrade skmeta"):
        SearchHistory().merge(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_short_adds_nothing(suffix, share, tmp_path):
    path = tmp_path / f"a{suffix}"
    make_history().export(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    history = SearchHistory()
    with pytest.raises((HistoryFormatError, HistoryError), match=r"cut short|cannot be read"):
        history.merge(path)
    assert content(history) == []


def test_a_line_that_was_altered_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    make_history().export(path)
    lines = path.read_text().splitlines()
    for broken in ['{"evaluation": {}}', "[]", "{}", '{"search": {"fingerprint": 3}}']:
        path.write_text("\n".join([lines[0], broken, *lines[1:]]))
        with pytest.raises(HistoryFormatError, match="cut short or altered"):
            SearchHistory().merge(path)


# Tables.


def test_to_frame_has_one_row_per_candidate():
    frame = make_history().to_frame(all=True)
    assert len(frame) == 5
    assert set(frame["dataset"]) == {"cafés"}
    assert set(frame["metric"]) == {"loss"}
    np.testing.assert_allclose(frame["mean_test_accuracy"], (0.5 + 1 / 3) / 2)
    assert frame["score"].isna().all()
    assert frame["mean_fit_time"].tolist() == pytest.approx([0.15] * 5)
    assert frame["SVC.C"].tolist()[:2] == [0.1 + 0.2, INF]
    assert frame["SVC.shrinking"].all()
    assert frame["error"].notna().sum() == 1


def test_to_frame_leaves_out_what_tells_nothing():
    history = SearchHistory()
    with_secret = Pipeline([("clf", SVC(tol=0.5))])
    with_secret.set_params(memory="secret")
    history.add(with_secret, [{"clf__C": 1.0}], [0.5], dataset="a")
    history.add(
        SVC(gamma=0.1), [{"C": 2.0}, {"C": 2.0, "shrinking": True}], [0.5, 0.6], dataset="b"
    )
    short, whole = history.to_frame(), history.to_frame(all=True)
    parameters = [name for name in short if "." in name]
    # Searched, or with several values; no constants, and no digests.
    assert parameters == ["SVC.C", "SVC.gamma", "SVC.shrinking", "SVC.tol"]
    assert whole["Pipeline.memory"][0].startswith("digest:")
    assert whole["SVC.cache_size"].tolist() == [200, 200, 200]
    assert set(whole) - set(short) >= {"predicted_mean_score", "predicted_std_score"}
    for name in short:
        pd.testing.assert_series_equal(short[name], whole[name])


def test_to_frame_signs_the_score():
    history = SearchHistory().add(
        SVC(), [{"C": 1.0}], [[2.0, 4.0]], dataset="d", scoring="loss", greater_is_better=False
    )
    [row] = history.to_frame().to_dict("records")
    assert row["score"] == -3.0
    assert row["mean_test_loss"] == 3.0
    assert row["score_std"] == 1.0


def test_an_empty_history_is_an_empty_frame():
    frame = SearchHistory().to_frame()
    assert len(frame) == 0
    assert "dataset" in frame


# Measured configurations.


def test_added_configurations_are_a_past_search():
    params = [{"C": 1.0}, {"C": 10.0, "kernel": "linear"}]
    history = SearchHistory().add(SVC(tol=0.5), params, [0.8, 0.9], dataset="iris")
    [past] = history.searches()
    assert past.estimator == "SVC"
    assert past.dataset == "iris"
    assert past.scores.tolist() == [0.8, 0.9]
    assert [c["SVC.C"] for c in past.configurations] == [1.0, 10.0]
    assert [c["SVC.kernel"] for c in past.configurations] == ["rbf", "linear"]
    assert {c["SVC.tol"] for c in past.configurations} == {0.5}


def test_names_do_not_depend_on_steps():
    pipe = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
    history = SearchHistory()
    history.add(pipe, [{"clf__C": 3.0}], [0.5], dataset="a")
    history.add(SVC, [{"C": 3.0}], [0.5], dataset="b")
    history.add("SVC", [{"C": 3.0}], [0.5], dataset="c")
    history.add("SVC", [{"SVC.C": 3.0}], [0.5], dataset="d")
    past = history.searches(estimator="SVC")
    assert [p.configurations[0]["SVC.C"] for p in past] == [3.0] * 4
    assert next(iter(history)).record.signature == "Pipeline(StandardScaler, SVC)"


def test_folds_metrics_and_times_are_kept():
    history = SearchHistory().add(
        SVC(),
        [{"C": 1.0}, {"C": 2.0}],
        {"accuracy": [[0.5, 0.7], [NAN, NAN]], "my_loss": [[1, 2], [3, 4]]},
        dataset="d",
        scoring="my_loss",
        greater_is_better={"my_loss": False},
        fit_times=[0.1, 0.2],
        score_times=[[0.1, 0.2], [0.3, 0.4]],
    )
    first, second = next(iter(history)).evaluations
    assert first.scores == {"accuracy": (0.5, 0.7), "my_loss": (1.0, 2.0)}
    assert math.isnan(second.scores["accuracy"][0])
    assert (first.fit_times, first.score_times) == ((0.1,), (0.1, 0.2))
    assert history.searches()[0].scores.tolist() == [-1.5, -3.5]
    np.testing.assert_allclose(history.searches(metric="accuracy")[0].scores, [0.6, NAN])


def test_a_data_set_gets_its_name_when_there_is_one(iris):
    X, _ = iris
    history = SearchHistory()
    search_id = history.begin(make_record_of(X, None))
    assert history.to_frame().empty
    assert history.begin(make_record_of(X, "iris")) == search_id
    history.begin(make_record_of(X, None))
    history.begin(make_record_of(X, "another"))
    assert [search.record.dataset for search in history] == ["iris"]


def make_record_of(X, dataset):
    digest = fingerprint_data(X).digest
    return SearchRecord(
        fingerprint="f",
        dataset=dataset,
        data_digest=digest,
        estimator="SVC",
        metrics={"accuracy": 1},
        refit_metric="accuracy",
    )


def test_the_data_are_described_but_not_needed(iris):
    X, y = iris
    history = SearchHistory()
    history.add(SVC(), [{"C": 1.0}], [0.5], X=X, y=y)
    history.add(SVC(), [{"C": 1.0}], [0.5], dataset="named", X=X, y=y, metafeatures={"mine": 3})
    history.add(SVC(), [{"C": 1.0}], [0.5], dataset="unseen")
    first, second, third = (search.record for search in history)
    assert first.dataset is None
    assert second.dataset == second.dataset_label == "named"
    assert first.dataset_label == first.data_digest[:12] == second.data_digest[:12] != ""
    assert first.data_sketch == second.data_sketch != ()
    assert first.metafeatures == {}
    assert second.metafeatures == {"mine": 3.0}
    assert (third.data_digest, third.data_sketch, third.metafeatures) == ("", (), {})


def test_one_by_one_is_as_all_at_once():
    params = [{"C": float(c)} for c in range(1, 6)]
    together = SearchHistory().add(SVC(), params, range(5), dataset="d")
    apart = SearchHistory()
    for score, one in enumerate(params):
        apart.add(SVC(), [one], [score], dataset="d")
        apart.add(SVC(), [one], [score], dataset="d")  # running a script twice changes nothing
    assert len(apart) == 1
    [a], [b] = together, apart
    assert a.record == b.record
    assert a.evaluations == b.evaluations


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "other"},
        {"scoring": "accuracy"},
        {"estimator": make_pipeline(StandardScaler(), SVC()), "params": [{"svc__C": 1.0}]},
        {"X": [[1.0], [2.0]], "y": [0, 1]},
    ],
    ids=["dataset", "metric", "estimator", "data"],
)
def test_what_differs_is_another_search(changes):
    given = {"estimator": SVC(), "params": [{"C": 1.0}], "scores": [0.5], "dataset": "d"}
    assert len(SearchHistory().add(**given).add(**{**given, **changes})) == 2


def test_other_scores_of_the_same_configuration_are_not_taken_silently():
    history = SearchHistory().add(SVC(), [{"C": 1.0}], [0.5], dataset="d")
    with pytest.warns(HistoryWarning, match="1 configurations were measured before on 'd'"):
        history.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [0.6, 0.7], dataset="d")
    assert history.searches()[0].scores.tolist() == [0.5, 0.7]
    with pytest.warns(HistoryWarning, match="other scores, which are kept"):
        history.add(SVC(), [{"C": 3.0}, {"C": 3.0}], [0.6, 0.7], dataset="d")
    history.remove("d")
    history.add(SVC(), [{"C": 1.0}], [NAN], dataset="d")
    history.add(SVC(), [{"C": 1.0}], [NAN], dataset="d")  # NaN is as NaN


ADD = {"estimator": SVC(), "params": [{"C": 1.0}], "scores": [0.5], "dataset": "d"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.5, 0.6]}, "2 were given for the 1 dicts in params"),
        ({"scores": ["good"]}, "must be numbers, or lists of numbers"),
        ({"scores": {}}, "scores is empty"),
        (
            {"scores": {"accuracy": [1], "recall": [1]}},
            r"one of \['accuracy', 'recall'\]; got None",
        ),
        ({"scores": {"accuracy": [1]}, "scoring": "recall"}, "got 'recall'"),
        ({"fit_times": [1, 2]}, "fit_times: 2 were given"),
        ({"params": {"C": [1.0]}}, "a list of dicts, one per candidate, not a dict"),
        ({"params": ["C"]}, r"params\[0\] must be a dict of parameters, not 'C'"),
        ({"params": [{"c": 1.0}]}, r"params\[0\] has 'c', which SVC does not have"),
        ({"params": [{"gama": 1.0}]}, "Did you mean 'gamma'"),
        ({"estimator": 3}, "estimator must be an estimator, its class or the class's name, not 3"),
        (
            {"dataset": None},
            "dataset must be the name of the data set, .* not None. Give it",
        ),
        ({"dataset": ""}, "not ''"),
        ({"scoring": "rmse"}, "Whether 'rmse' is better when greater is not known"),
    ],
)
def test_what_cannot_be_added(changes, message):
    history = SearchHistory()
    with pytest.raises(HistoryFormatError, match=message):
        history.add(**{**ADD, **changes})
    assert len(history) == 0


def test_parts_that_a_candidate_puts_in_have_parameters():
    pipe = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
    params = [{"clf": LogisticRegression(), "clf__C": 2.0}, {"clf": SVC(), "clf__gamma": 0.5}]
    history = SearchHistory().add(pipe, params, [0.5, 0.6], dataset="d")
    [past] = history.searches(estimator="LogisticRegression")
    assert past.estimator == "LogisticRegression|SVC"
    assert past.configurations[0]["LogisticRegression.C"] == 2.0
    assert past.configurations[1]["SVC.gamma"] == 0.5


# Searches of scikit-learn.


def fit(search, iris):
    return search.fit(*iris)


def test_a_grid_search_is_added_whole(iris):
    pipe = make_pipeline(StandardScaler(), SVC())
    search = GridSearchCV(
        pipe, {"svc__C": [0.1, 1.0], "svc__gamma": [0.1, "scale"]}, cv=3, return_train_score=True
    )
    fit(search, iris)
    history = SearchHistory().add_cv_results(search, dataset="iris", X=iris[0], y=iris[1])
    [recorded] = history
    [past] = history.searches(estimator="SVC")
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"])
    assert [c["SVC.gamma"] for c in past.configurations] == [0.1, "scale", 0.1, "scale"]
    for k, evaluation in enumerate(recorded.evaluations):
        folds = [search.cv_results_[f"split{i}_test_score"][k] for i in range(3)]
        assert evaluation.scores["score"] == tuple(folds)
        train = [search.cv_results_[f"split{i}_train_score"][k] for i in range(3)]
        assert evaluation.train_scores["score"] == tuple(train)
        assert evaluation.fit_times == (search.cv_results_["mean_fit_time"][k],)
    assert recorded.record.refit_metric == "score"


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss"])
def test_the_metric_of_a_search_is_kept(scoring, iris):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    search = fit(GridSearchCV(model, grid, scoring=scoring, cv=3), iris)
    [past] = SearchHistory.from_cv_results(search, dataset="iris").searches()
    assert past.metric == scoring
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"])


def test_several_metrics(iris):
    search = RandomizedSearchCV(
        SVC(),
        {"C": loguniform(0.1, 10)},
        n_iter=4,
        cv=3,
        scoring=["accuracy", "f1_macro"],
        refit="f1_macro",
        random_state=0,
    )
    history = SearchHistory().add_cv_results(fit(search, iris), dataset="iris")
    for metric in ["accuracy", "f1_macro"]:
        [past] = history.searches(metric=metric)
        np.testing.assert_allclose(past.scores, search.cv_results_[f"mean_test_{metric}"])
    assert history.searches()[0].metric == "f1_macro"
    with pytest.raises(HistoryFormatError, match="scoring must name the metric to maximise"):
        SearchHistory().add_cv_results(search.cv_results_, SVC(), dataset="iris")


@pytest.mark.parametrize("kind", ["dict", "frame", "csv", "without folds"])
def test_a_table_of_results_is_as_good_as_the_search(kind, iris, tmp_path):
    search = fit(GridSearchCV(SVC(), {"C": [0.1, 1.0], "kernel": ["rbf", "linear"]}, cv=3), iris)
    results = search.cv_results_
    if kind != "dict":
        results = pd.DataFrame(results)
    if kind == "csv":
        results.to_csv(tmp_path / "a.csv", index=False)
        results = pd.read_csv(tmp_path / "a.csv")
    if kind == "without folds":
        results = results[["params", "mean_test_score"]]
    [a] = SearchHistory().add_cv_results(results, SVC(), dataset="iris").searches()
    [b] = SearchHistory().add_cv_results(search, dataset="iris").searches()
    np.testing.assert_allclose(a.scores, b.scores)
    assert a.configurations == b.configurations


def test_of_a_halving_search_the_last_round_counts(iris):
    search = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=2, random_state=0)
    fit(search, iris)
    [past] = SearchHistory().add_cv_results(search, dataset="iris").searches()
    last = search.cv_results_["n_resources"] == max(search.cv_results_["n_resources"])
    assert 0 < last.sum() < len(last)
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"][last])


def test_failed_candidates_of_a_search_are_nan(iris):
    search = GridSearchCV(SVC(), {"C": [-1.0, 1.0]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says that fits failed
        fit(search, iris)
    [past] = SearchHistory().add_cv_results(search, dataset="iris").searches()
    assert np.isnan(past.scores).tolist() == [True, False]


@pytest.mark.parametrize(
    ("results", "estimator", "message"),
    [
        ({"params": [], "mean_test_score": []}, None, "together with estimator="),
        (3, SVC(), "Give a fitted search"),
        (GridSearchCV(SVC(), {}), None, "Give a fitted search"),
        ({"params": [{"C": 1}]}, SVC(), "no column 'params', or no 'mean_test_"),
        ({"params": ["SVC()"], "mean_test_score": [1]}, SVC(), "not a dict of plain values"),
    ],
)
def test_results_that_are_none(results, estimator, message):
    with pytest.raises(HistoryFormatError, match=message):
        SearchHistory().add_cv_results(results, estimator, dataset="d")


# Studies of Optuna.


def make_study(direction="maximize"):
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        C = trial.suggest_float("C", 0.1, 10.0, log=True)
        kernel = trial.suggest_categorical("kernel", ["rbf", "linear"])
        if trial.number == 1:
            raise ValueError("no")
        if trial.number == 2:
            trial.report(0.1, 0)
            raise optuna.TrialPruned
        return C + (kernel == "rbf")

    study.optimize(objective, n_trials=8, catch=ValueError)
    return study


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_a_study_is_added_without_what_was_pruned(direction, sign):
    study = make_study(direction)
    [past] = SearchHistory.from_optuna(study, SVC(), dataset="d").searches()
    trials = [t for t in study.trials if t.number != 2]
    assert [c["SVC.C"] for c in past.configurations] == [t.params["C"] for t in trials]
    assert [c["SVC.kernel"] for c in past.configurations] == [t.params["kernel"] for t in trials]
    expected = [NAN if t.value is None else sign * t.value for t in trials]
    np.testing.assert_array_equal(past.scores, expected)
    assert np.isnan(past.scores).sum() == 1
    assert past.configurations[int(np.nanargmax(past.scores))]["SVC.C"] == study.best_params["C"]


def test_a_study_may_use_other_names():
    pipe = make_pipeline(StandardScaler(), SVC())
    names = {"C": "svc__C", "kernel": "svc__kernel"}
    history = SearchHistory().add_optuna(
        make_study(), pipe, dataset="d", names=names, scoring="accuracy"
    )
    [past] = history.searches()
    assert past.metric == "accuracy"
    assert "SVC.kernel" in past.configurations[0]
    with pytest.raises(HistoryFormatError, match="'C', which Pipeline does not have"):
        SearchHistory().add_optuna(make_study(), pipe, dataset="d")


def test_a_study_of_several_objectives():
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.optimize(lambda t: (t.suggest_float("C", 1, 2), 5.0), n_trials=3)
    history = SearchHistory().add_optuna(study, SVC(), dataset="d", scoring="objective_1")
    assert history.searches()[0].scores.tolist() == [5.0] * 3
    values = [-t.values[0] for t in study.trials]
    assert history.searches(metric="objective_0")[0].scores.tolist() == values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(["seconds", "accuracy"])
    history = SearchHistory().add_optuna(study, SVC(), dataset="d", scoring="accuracy")
    assert history.searches()[0].scores.tolist() == [5.0] * 3
