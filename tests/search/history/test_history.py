"""What a history records, gives back, refuses and survives."""

import copy
import json
import math
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from builders import make_evaluation, make_record, record_all
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, HistoryFormatError, HistoryWarning, SkmetaError
from skmeta.search import (
    ReadOnlyHistory,
    SearchHistory,
    default_history,
    open_history,
    set_default_history,
    use_history,
)
from skmeta.search.history import _store as store_module
from skmeta.search.history._address import mask_password

NAN, INF = math.nan, math.inf


FULL_RECORD = make_record(
    dataset="cafés — 日本",
    data_digest="abc",
    data_sketch=(2**31 - 1, 0, 5),
    signature="Pipeline(StandardScaler, SVC)",
    space={"SVC.C": "loguniform(0.1, 10)"},
    cv="StratifiedKFold(n_splits=5)",
    metrics={"accuracy": 1, "loss": -1},
    metafeatures={"skew": NAN, "rows": 2.5, "ratio": -INF},
    versions={"scikit-learn": "1.9.1"},
)
FULL_EVALUATION = make_evaluation(
    configuration={
        "SVC.C": 0.1 + 0.2,
        "SVC.gamma": "scale",
        "SVC.shrinking": True,
        "SVC.max_iter": -(10**30),
        "SVC.class_weight": None,
        "SVC.tol": INF,
        "SVC.coef0": NAN,
        "SVC.odd": '{"float":"nan"}',
    },
    scores={"accuracy": (0.25, NAN, 1 / 3), "loss": (INF, -INF, 5e-324)},
    train_scores={"accuracy": (1.0, 1.0, NAN)},
    fit_times=(0.1, 0.2, 0.3),
    score_times=(0.01, 0.02, 0.03),
    n_test_samples=(50, 50, 49),
    error="ValueError: naïve “quotes”\tand tabs",
    source="model",
    predicted_mean_score=1 / 3,
    predicted_std_score=5e-324,
    params='[0, {"C": ["drawn", 0.1]}]',
)


@pytest.fixture
def history(tmp_path):
    return SearchHistory(tmp_path / "searches.db")


# What goes in comes out.


@pytest.mark.parametrize("address", [":memory:", "searches.db", "sqlite:///searches.db"])
def test_everything_comes_back(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = SearchHistory(address)
    record_all(history, FULL_RECORD, FULL_EVALUATION)
    [search] = history
    # NaN differs from itself, but repr shows every digit.
    assert repr(search.record) == repr(FULL_RECORD)
    assert repr(search.evaluations) == repr((FULL_EVALUATION,))
    assert search.started > 1e9
    assert search.finished is None


def test_numpy_scalars_are_taken(history):
    search_id = record_all(
        history,
        make_record(metafeatures={"rows": np.float32(0.5)}),
        make_evaluation(
            configuration={"a": np.int64(3), "b": np.float64(0.5), "c": np.bool_(True)},
            scores={"accuracy": (np.float64(0.5), np.float32(0.25))},
            n_test_samples=(np.int64(5), np.int32(5)),
        ),
    )
    [evaluation] = history.evaluations(search_id)
    assert evaluation.configuration == {"a": 3, "b": 0.5, "c": True}
    assert evaluation.configuration["c"] is True
    assert evaluation.scores == {"accuracy": (0.5, 0.25)}
    assert evaluation.n_test_samples == (5, 5)


def test_texts_that_databases_refuse_are_escaped(history):
    search_id = record_all(history, make_record(), make_evaluation(error="a\0b\udc80"))
    assert history.evaluations(search_id)[0].error == r"a\x00b\udc80"


def test_what_is_not_plain_is_refused_and_does_not_stop_the_next(history):
    search_id = history.begin(make_record())
    with pytest.raises(HistoryFormatError, match=r"'SVC\.kernel' has a value of type function"):
        history.record(search_id, make_evaluation(configuration={"SVC.kernel": make_record}))
    with pytest.raises(HistoryFormatError, match="key"):
        history.record(search_id, make_evaluation("k" * 200))
    history.record(search_id, make_evaluation("good"))
    assert [e.key for e in history.evaluations(search_id)] == ["good"]


def test_the_file_holds_strict_json(history):
    record_all(history, FULL_RECORD, FULL_EVALUATION)
    connection = sqlite3.connect(history.path)
    rows = connection.execute("SELECT configuration, scores, fit_times FROM skmeta_evaluation")
    texts = [*rows.fetchone(), *connection.execute("SELECT details FROM skmeta_search").fetchone()]
    connection.close()

    def refuse(name):
        raise AssertionError(name)

    for text in texts:
        json.loads(text, parse_constant=refuse)


def test_no_data_row_is_stored(history):
    X = np.array([[123456.789, 987654.321], [314159.265, 271828.182]] * 5)
    y = np.array(["secret-label", "other-label"] * 5)
    history.add(SVC(), [{"C": 1.0}], [0.5], dataset="d", X=X, y=y)
    content = history.path.read_bytes()
    assert b"SVC.C" in content
    for text in [b"123456.789", b"987654.3", b"314159.2", b"secret-label"]:
        assert text not in content
    for value in X.ravel():
        assert value.tobytes() not in content


# Searches begin, go on and end.


def test_equal_fingerprints_are_the_same_search(history):
    first = history.begin(make_record("a"))
    assert history.begin(make_record("b")) != first
    assert history.begin(make_record("a")) == first
    assert SearchHistory(history.path).begin(make_record("a")) == first
    assert len(history) == 2


def test_candidates_come_back_in_order_and_once(history):
    search_id = record_all(history, make_record(), *map(make_evaluation, "cab"))
    history.record(search_id, make_evaluation("a", scores=(0.0, 0.0)))
    assert history.evaluations(search_id) == [make_evaluation(key) for key in "cab"]
    assert history.evaluations("f") == history.evaluations(search_id)
    assert history.evaluations("unknown") == history.evaluations(99) == []


def test_a_finished_search_knows_when(history):
    search_id = record_all(history, make_record(), make_evaluation())
    history.finish(search_id)
    [first] = history
    history.finish(search_id)
    [second] = history
    assert first.finished >= first.started
    assert second.finished == first.finished


def test_an_unknown_id_is_an_error(history):
    with pytest.raises(HistoryError, match="no search with id 7"):
        history.record(7, make_evaluation())
    with pytest.raises(HistoryError, match="no search with id 7"):
        history.finish(7)


def test_a_copy_goes_on_with_the_search(history):
    search_id = history.begin(make_record())
    other = pickle.loads(pickle.dumps(history))
    other.record(search_id, make_evaluation("a"))
    other.finish(search_id)
    assert [e.key for e in history.evaluations(search_id)] == ["a"]


# Past searches, as the prior sees them.


def test_scores_are_means_signed_so_that_greater_is_better(history):
    record = make_record(metrics={"loss": -1, "accuracy": 1}, refit_metric="loss")
    folds = {"loss": (1.0, 2.0), "accuracy": (0.5, 1.0)}
    record_all(history, record, make_evaluation("a", folds))
    [past] = history.searches()
    assert past.metric == "loss"
    assert past.scores.tolist() == [-1.5]
    [past] = history.searches(metric="accuracy")
    assert past.metric == "accuracy"
    assert past.scores.tolist() == [0.75]
    [past] = history.searches(metric="not recorded")
    assert past.metric == "loss"


def test_failed_candidates_are_nan_and_failed_searches_left_out(history):
    record_all(
        history,
        make_record("a"),
        make_evaluation("good", (0.5, 1.0)),
        make_evaluation("fails", (0.5, NAN)),
        make_evaluation("other metric", {"recall": (1.0, 1.0)}),
        make_evaluation("ragged", (0.25,)),
        make_evaluation("endless", (INF, -INF)),
    )
    record_all(history, make_record("b"), make_evaluation("fails", (NAN, NAN)))
    history.begin(make_record("c"))
    [past] = history.searches()
    np.testing.assert_array_equal(past.scores, [0.75, NAN, NAN, 0.25, NAN])
    assert len(past.configurations) == 5


@pytest.mark.parametrize("n_folds", [1, 2, 3, 5, 10])
def test_means_are_those_of_numpy(history, n_folds):
    scores = np.random.default_rng(0).normal(size=(20, n_folds))
    record_all(history, make_record(), *(make_evaluation(str(k), s) for k, s in enumerate(scores)))
    np.testing.assert_allclose(history.searches()[0].scores, scores.mean(axis=1), rtol=1e-14)


def test_a_past_search_carries_what_tells_data_sets_apart(history):
    record_all(history, FULL_RECORD, make_evaluation())
    [past] = history.searches()
    assert past.dataset == FULL_RECORD.dataset
    assert past.data_digest == FULL_RECORD.data_digest
    assert past.data_sketch == FULL_RECORD.data_sketch
    assert repr(past.metafeatures) == repr(FULL_RECORD.metafeatures)
    assert past.estimator == "SVC"
    assert past.configurations == ({"SVC.C": 1.0},)


def test_searches_are_found_by_the_classes_that_they_tried(history):
    for name in ["SVC", "SVC|Ridge", "Ridge", "LinearSVC"]:
        record_all(history, make_record(name, estimator=name), make_evaluation())

    def found(estimator):
        return [past.estimator for past in history.searches(estimator=estimator)]

    assert found("SVC") == ["SVC", "SVC|Ridge"]
    assert (
        found("SVC|LinearSVC") == found(["SVC", "LinearSVC"]) == ["SVC", "SVC|Ridge", "LinearSVC"]
    )
    assert found("Lasso") == found([]) == []
    assert found(None) == ["SVC", "SVC|Ridge", "Ridge", "LinearSVC"]


def test_data_sets_can_be_left_out_by_name_digest_and_fingerprint(history):
    for name in "abc":
        record = make_record(name, dataset=f"set {name}", data_digest=f"digest {name}")
        record_all(history, record, make_evaluation())
    record_all(history, make_record("d", dataset="set d"), make_evaluation())

    def found(exclude):
        return "".join(past.dataset[-1] for past in history.searches(exclude=exclude))

    assert found("set a") == found(["digest a"]) == found({"a"}) == "bcd"
    assert found(["set a", "digest c"]) == "bd"
    assert found("") == "abcd"  # an unknown digest is not a digest


def test_the_token_differs_when_the_content_does(history):
    tokens = [history.version_token()]
    history.begin(make_record("other", dataset="wine"))
    tokens.append(history.version_token())
    search_id = history.begin(make_record())
    tokens.append(history.version_token())
    history.record(search_id, make_evaluation("a"))
    tokens.append(history.version_token())
    assert history.version_token() == SearchHistory(history.path).version_token() == tokens[-1]
    history.record(search_id, make_evaluation("a"))
    assert history.version_token() == tokens[-1]
    assert history.remove("iris") == 1
    assert history.version_token() == tokens[1]  # what is left is what was there then
    record_all(history, make_record(), make_evaluation("a"))
    tokens.append(history.version_token())
    copied = shutil.copy(history.path, history.path.with_name("copy.db"))
    tokens.append(SearchHistory(copied).version_token())
    tokens.append(SearchHistory().version_token())
    assert len(set(tokens)) == len(tokens)


def test_removing_a_data_set_leaves_the_others(history):
    record_all(history, make_record("a", dataset="a"), make_evaluation())
    record_all(history, make_record("b", dataset="b"), make_evaluation())
    assert history.remove("a") == 1
    assert history.remove("a") == 0
    assert [search.record.dataset for search in history] == ["b"]
    assert history.evaluations("a") == []


# Copies, threads, forks.


def test_clones_and_copies_share_the_database(history):
    for other in [copy.deepcopy(history), copy.copy(history), clone(history)]:
        assert other is history
    record_all(pickle.loads(pickle.dumps(history)), make_record(), make_evaluation())
    assert len(history) == 1


def test_a_pickle_finds_its_file_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = SearchHistory("searches.db")
    history.begin(make_record())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(pickle.loads(pickle.dumps(history))) == 1
    assert len(history) == 1


def test_a_pickle_loads_where_its_file_is_not(history):
    contents = [pickle.dumps(history), pickle.dumps(ReadOnlyHistory(history.path))]
    shutil.move(history.path.parent, history.path.parent.with_name("away"))
    for content in contents:
        other = pickle.loads(content)
        assert repr(str(history.path)) in repr(other)
        assert other.path == history.path
        other = pickle.loads(pickle.dumps(other))
        other.close()
        with pytest.raises(HistoryError, match="does not exist"):
            len(other)


def test_a_history_in_memory_is_copied_by_value():
    history = SearchHistory()
    record_all(history, make_record(), make_evaluation())
    other = pickle.loads(pickle.dumps(history))
    assert other.evaluations("f") == history.evaluations("f")
    other.begin(make_record("g"))
    assert (len(history), len(other)) == (1, 2)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(other))))
    assert len(again) == 2
    reading = pickle.loads(pickle.dumps(ReadOnlyHistory(history)))
    assert len(reading) == 1


def test_searches_of_scikit_learn_take_a_history_along(history):
    class Remembering(SVC):
        def __init__(self, C=1.0, history=None):
            super().__init__(C=C)
            self.history = history

        def fit(self, X, y):
            record_all(self.history, make_record(), make_evaluation(repr(self.C)))
            return super().fit(X, y)

    X, y = load_iris(return_X_y=True)
    GridSearchCV(Remembering(history=history), {"C": [1.0, 2.0]}, n_jobs=1).fit(X, y)
    assert {e.key for e in history.evaluations("f")} == {"1.0", "2.0"}


@pytest.mark.parametrize("address", [":memory:", "file"])
def test_threads_share_a_history(address, tmp_path):
    history = SearchHistory(tmp_path / "a.db" if address == "file" else address)

    def work(number):
        search_id = history.begin(make_record(f"{number % 3}"))
        for k in range(10):
            history.record(search_id, make_evaluation(f"{number} {k}"))
        return len(history.searches())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert sorted(len(search.evaluations) for search in history) == [20, 20, 20]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_writes_to_the_same_file(history):
    script = f"""
import os, threading
from skmeta.search import SearchHistory
from builders import make_evaluation, make_record
history = SearchHistory({str(history.path)!r})
search_id = history.begin(make_record())
# Another thread is inside a transaction while this one forks.
inside, leave = threading.Event(), threading.Event()
def work(connection):
    inside.set()
    leave.wait()
thread = threading.Thread(target=lambda: history._store.run(work))
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    history.evaluations(search_id)
    os._exit(0)
leave.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
child = os.fork()
if child == 0:
    history.record(search_id, make_evaluation("child"))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
history.record(search_id, make_evaluation("parent"))
"""
    folder = Path(__file__).parents[2]  # of builders.py
    subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, timeout=60)
    assert [e.key for e in history.evaluations("f")] == ["child", "parent"]


# Places that are not a history.


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(HistoryError, match=r"The folder '.*nowhere' does not exist\. Create it"):
        SearchHistory(tmp_path / "nowhere" / "searches.db")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(HistoryError, match="is a folder"):
        SearchHistory(tmp_path)


@pytest.mark.parametrize("address", [None, 3, "", b"searches.db"])
def test_what_is_no_path(address):
    with pytest.raises(HistoryError, match="given by a path or an SQLAlchemy URL"):
        SearchHistory(address)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"PAR1....", "a parquet file; SearchHistory.merge reads"),
        (b'{"format": 1}', "a text; SearchHistory.merge reads JSON lines"),
        (b"\x1f\x8b...", "a compressed file"),
        (b"name,score\n", r"something else \(it begins with b'name,score\\n'\)"),
    ],
)
def test_a_file_that_is_no_database(content, found, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(
        HistoryFormatError, match=f"not a history, nor a SQLite database, but {found}"
    ):
        SearchHistory(path)
    assert path.read_bytes() == content


def make_database(path, *statements):
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_foreign_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    make_database(path, "CREATE TABLE customers (id)", "CREATE TABLE orders (id)")
    before = path.read_bytes()
    for open_it in (SearchHistory, ReadOnlyHistory):
        with pytest.raises(HistoryFormatError, match="holds the tables customers, orders"):
            open_it(path)
    assert path.read_bytes() == before


def test_optunas_database_is_recognised(tmp_path):
    path = tmp_path / "optuna.db"
    make_database(path, "CREATE TABLE studies (id)", "CREATE TABLE trials (id)")
    with pytest.raises(HistoryFormatError, match=r"SearchHistory\.add_optuna"):
        SearchHistory(path)


def test_an_empty_file_becomes_a_history(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    assert len(SearchHistory(path)) == 0


def set_version(path, version):
    make_database(path, f"UPDATE skmeta_about SET value = '{version}' WHERE name = 'version'")


@pytest.mark.parametrize("version", ["2", "10"])
def test_a_newer_format_is_refused(history, version):
    make_database(
        history.path, f"UPDATE skmeta_about SET value = '{version}' WHERE name = 'version'"
    )
    for open_it in (SearchHistory, ReadOnlyHistory):
        with pytest.raises(HistoryFormatError, match=f"of format {version}, .* Upgrade skmeta"):
            open_it(history.path)


@pytest.mark.parametrize("value", ["", "x", "-1", "0"])
def test_an_altered_version_is_refused(history, value):
    set_version(history.path, value)
    with pytest.raises(HistoryFormatError, match="It was altered"):
        SearchHistory(history.path)


def test_a_damaged_file_is_an_error(history):
    record_all(history, make_record(), *(make_evaluation(str(k)) for k in range(200)))
    content = bytearray(history.path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    history.path.write_bytes(content)
    with pytest.raises(HistoryFormatError, match="is damaged"):
        list(SearchHistory(history.path))


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("nonsense://x", "driver of 'nonsense' cannot be loaded"),
        ("no scheme://x", "cannot be parsed"),
        ("sqlite:///file:x?uri=true", "no plain path"),
        ("sqlite://", "no plain path"),
        ("postgresql://user:secret@127.0.0.1:1/none", "Check that the server runs"),
    ],
)
def test_a_url_that_leads_nowhere(url, what):
    if "postgresql" in url:
        pytest.importorskip("psycopg")
    with pytest.raises(HistoryError, match=what) as caught:
        SearchHistory(url)
    assert "secret" not in str(caught.value)


def test_the_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert SearchHistory("~/searches.db").path == tmp_path / "searches.db"
    assert ReadOnlyHistory("~/searches.db").path == tmp_path / "searches.db"


def test_odd_file_names(tmp_path):
    path = tmp_path / "what? 50% of #1 & 日本.db"
    record_all(SearchHistory(path), make_record(), make_evaluation())
    assert len(SearchHistory(path)) == 1
    assert os.listdir(tmp_path) == [path.name]


# Writes that fail.


def test_a_full_disk_keeps_candidates_until_there_is_room(history):
    search_id = record_all(history, make_record(), make_evaluation("a"))
    full = True

    def limit(connection, _):
        if full:
            connection.execute("PRAGMA max_page_count = 1")  # no page can be added

    sa.event.listen(history._store.engine, "connect", limit)
    large = {"SVC.kernel": "x" * 10_000}
    for k in range(3):
        with pytest.raises(HistoryError, match=f"full.* Free some space.*next: {k + 1}"):
            history.record(search_id, make_evaluation(f"b{k}", configuration=large))
    assert len(history.evaluations(search_id)) == 1
    full = False
    history.record(search_id, make_evaluation("c"))
    assert [e.key for e in history.evaluations(search_id)] == ["a", "b0", "b1", "b2", "c"]


def test_a_full_disk_is_known_before_the_first_fit(history):
    sa.event.listen(
        history._store.engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA max_page_count = 1"),
    )
    with pytest.raises(HistoryError, match="Free some space"):
        history.begin(make_record(space={"x": "y" * 10_000}))


def test_a_vanished_file_does_not_come_back_empty(history):
    search_id = record_all(history, make_record(), make_evaluation("a"))
    away = history.path.with_name("away.db")
    history.path.rename(away)
    with pytest.raises(HistoryError, match="moved or deleted"):
        history.record(search_id, make_evaluation("b"))
    assert not history.path.exists()
    away.rename(history.path)
    history.finish(search_id)
    assert [e.key for e in history.evaluations(search_id)] == ["a", "b"]


def test_a_replaced_file_gets_the_search_and_not_a_wrong_one(history, tmp_path):
    search_id = record_all(history, make_record("mine"), make_evaluation("a"))
    other = SearchHistory(tmp_path / "other.db")
    assert other.begin(make_record("other")) == search_id
    shutil.move(other.path, history.path)
    history.record(search_id, make_evaluation("b"))
    assert history.evaluations("other") == []
    assert [e.key for e in history.evaluations("mine")] == ["b"]


def test_closing_writes_what_waited_or_warns(history):
    search_id = record_all(history, make_record())
    away = history.path.with_name("away.db")
    history.path.rename(away)
    with pytest.raises(HistoryError, match="moved or deleted"):
        history.record(search_id, make_evaluation("b"))
    with pytest.warns(HistoryWarning, match="in memory only"):
        history.close()
    away.rename(history.path)
    history.close()
    assert [e.key for e in SearchHistory(away.with_name(history.path.name)).evaluations("f")] == [
        "b"
    ]


def test_a_locked_file_is_waited_for(history):
    search_id = history.begin(make_record())
    blocker = sqlite3.connect(history.path, check_same_thread=False, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, lambda: blocker.execute("ROLLBACK"))
    release.start()
    history.record(search_id, make_evaluation())
    release.join()
    blocker.close()
    assert len(history.evaluations(search_id)) == 1


def test_a_file_that_stays_locked_is_an_error_and_waited_for_less_the_next_time(
    history, monkeypatch
):
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(store_module, "_SHORT_BUSY_SECONDS", 0.0)
    search_id = history.begin(make_record())
    blocker = sqlite3.connect(history.path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for k in range(2):
        with pytest.raises(HistoryError, match="Another program holds it"):
            history.record(search_id, make_evaluation(str(k)))
        assert history._store._timed_out
    blocker.execute("ROLLBACK")
    blocker.close()
    history.record(search_id, make_evaluation("2"))
    assert not history._store._timed_out
    assert [e.key for e in history.evaluations(search_id)] == ["0", "1", "2"]


UNPRIVILEGED = """
import os, sys
from skmeta.exceptions import HistoryError
from skmeta.search import ReadOnlyHistory, SearchHistory
folder = sys.argv[1]
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path, word in [("kept/searches.db", "written"), ("kept/new.db", "cannot be written"),
                   ("open/readonly.db", "The file"),
                   ("open/secret.db", "cannot be read")]:
    try:
        SearchHistory(os.path.join(folder, path))
    except HistoryError as error:
        assert word in str(error), (path, str(error))
    else:
        raise AssertionError(path)
assert sorted(os.listdir(os.path.join(folder, "kept"))) == ["searches.db"]
assert len(ReadOnlyHistory(os.path.join(folder, "kept/searches.db"))) == 1
assert len(ReadOnlyHistory(os.path.join(folder, "open/readonly.db"))) == 1
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs permissions of POSIX")
def test_missing_permission_is_known_when_opening():
    # Root may write anywhere, so a process without privileges has to try, where it may look.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for name in ("kept", "open"):
            (folder / name).mkdir()
        for name in ("kept/searches.db", "open/readonly.db", "open/secret.db"):
            SearchHistory(folder / name).begin(make_record())
            (folder / name).chmod(0o444)
        (folder / "open/secret.db").chmod(0o000)
        (folder / "open").chmod(0o777)
        (folder / "kept").chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(folder)],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
        )
        (folder / "kept").chmod(0o755)
    assert done.returncode == 0, done.stderr


# A history that is only read.


def test_read_only_reads_and_writes_nothing(history):
    record_all(history, make_record("a"), make_evaluation())
    before = history.path.read_bytes()
    for reading in [
        ReadOnlyHistory(history.path),
        ReadOnlyHistory(history),
        ReadOnlyHistory(ReadOnlyHistory(history)),
    ]:
        assert len(reading.searches()) == 1
        search_id = reading.begin(make_record("a"))
        assert reading.evaluations(search_id) == [make_evaluation()]
        reading.record(search_id, make_evaluation("b"))
        new = reading.begin(make_record("new"))
        assert reading.evaluations(new) == []
        reading.record(new, make_evaluation())
        reading.finish(new)
        assert len(pickle.loads(pickle.dumps(reading))) == 1
        assert clone(reading) is reading
        reading.close()
    assert history.path.read_bytes() == before


def test_read_only_creates_no_file(tmp_path):
    with pytest.raises(HistoryError, match="a read-only history is not created"):
        ReadOnlyHistory(tmp_path / "searches.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(HistoryFormatError, match="holds no history"):
        ReadOnlyHistory(tmp_path / "empty.db")
    assert (tmp_path / "empty.db").read_bytes() == b""
    assert os.listdir(tmp_path) == ["empty.db"]


def test_read_only_sees_what_is_recorded_later(history):
    reading = ReadOnlyHistory(history.path)
    record_all(history, make_record(), make_evaluation())
    assert len(reading) == 1


# What a parameter or a script may say.


def test_open_history(history):
    reading = ReadOnlyHistory(history)
    assert open_history(None) is None
    assert open_history(history) is history
    assert open_history(reading) is reading
    assert isinstance(open_history(str(history.path)), SearchHistory)
    with pytest.raises(SkmetaError, match="given by a path"):
        open_history(3)


def test_the_innermost_default_counts(tmp_path, monkeypatch):
    assert default_history() is None
    monkeypatch.setenv("SKMETA_HISTORY", str(tmp_path / "variable.db"))
    assert default_history().path.name == "variable.db"
    set_default_history(tmp_path / "script.db")
    try:
        assert default_history().path.name == "script.db"
        with use_history(tmp_path / "block.db") as outer:
            assert default_history() is outer
            with use_history(None) as none:
                assert none is None
                assert default_history() is None
            assert default_history() is outer
        assert default_history().path.name == "script.db"
        with pytest.raises(ValueError, match="stop"), use_history(":memory:"):
            raise ValueError("stop")
        assert default_history().path.name == "script.db"
    finally:
        set_default_history(None)
    assert default_history().path.name == "variable.db"


def test_a_block_is_of_its_thread_and_a_script_of_all(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        with use_history(":memory:"):
            assert pool.submit(default_history).result() is None
        set_default_history(":memory:")
        try:
            assert pool.submit(default_history).result() is default_history() is not None
        finally:
            set_default_history(None)


# How it looks.


def test_repr_says_where_and_hides_the_password(tmp_path):
    path = tmp_path / "searches.db"
    assert repr(SearchHistory(path)) == f"SearchHistory({str(path)!r})"
    assert repr(SearchHistory()) == "SearchHistory(':memory:')"
    shown = mask_password("postgresql://me:secret@host/db")
    assert shown == "postgresql://me:***@host/db"


def test_an_empty_history_is_true():
    assert SearchHistory()
    assert len(SearchHistory()) == 0
    assert list(SearchHistory()) == SearchHistory().searches() == []
    assert SearchHistory().describe().splitlines() == ["estimator  data sets  searches  candidates"]
