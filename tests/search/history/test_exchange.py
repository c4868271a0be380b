"""Histories as files for other programs, and as data frames."""

import gzip
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, HistoryFormatError
from skmeta.search import ReadOnlyHistory, SearchHistory
from skmeta.search.history import _exchange
from skmeta.search.record import CandidateRecord, SearchRecord

NAN, INF = math.nan, math.inf
SUFFIXES = [".jsonl", ".jsonl.gz", ".parquet"]


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
        dataset_features={"a": NAN, "b": 0.1},
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
        evaluation = CandidateRecord(
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
    mine = CandidateRecord(configuration={}, key="one", scores={"loss": (0.0,)})
    other.record(search_id, mine)
    other.merge(path)
    merged = other.candidates("a")
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
    assert lines[2]["candidate"]["configuration"]["SVC.C"] == 0.1 + 0.2
    assert lines[2]["candidate"]["scores"] == {
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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_that_fails_leaves_the_old_file(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"export{suffix}"
    history = make_history()
    history.export(path)
    before = path.read_bytes()

    def fail(search):
        raise OSError("No space left on device")

    monkeypatch.setattr(_exchange, "_search_row", fail)
    with pytest.raises(HistoryError, match=r"cannot be written \(No space left"):
        history.export(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_an_export_sweeps_what_a_killed_one_left(tmp_path):
    (tmp_path / ".export.jsonl.0a1b2c3d.part").write_text("half of a f")
    make_history().export(tmp_path / "export.jsonl")
    assert [one.name for one in tmp_path.iterdir()] == ["export.jsonl"]


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
