"""Mutations of every kind of file end in a documented error, or in what the file really says.

The profile ``nightly`` of hypothesis (``SKMETA_HYPOTHESIS_PROFILE=nightly``) draws ten times as
many as the one of CI.
"""

import contextlib
import json
import math
import os
import re
import sqlite3
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import MEASURED, loop_settings, make_evaluation, make_prior, make_record, record_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from tensor_files import pack, unpack

from skmeta._training import meta_train
from skmeta.exceptions import FileFormatError, HistoryError, PriorError, SearchWarning
from skmeta.few_shot import MetaFewShotClassifier
from skmeta.learners import MAML
from skmeta.policy import MetaPolicy, PointNavigation, PolicyMAML
from skmeta.priors import MetaPrior
from skmeta.search import SearchHistory, SearchPrior
from skmeta.search.record import PastSearch, SearchRecord

if os.name == "nt":
    pytest.skip("the guards on time and memory need POSIX", allow_module_level=True)

from mutations import JUNK, bounded, damages, edits

# Files are written again by each example, which does no harm.
AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def content_of(write):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def same(a, b):
    """Whether two JSON values are equal, where NaN equals itself and 1, 1.0 and True differ."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def record_of(content, name):
    return json.loads(unpack(content)[0]["__metadata__"][name])


PRIOR = content_of(make_prior().save)


@AGAIN
@given(edits(PRIOR, "skmeta.prior"))
def test_edited_priors(path, content):
    path.write_bytes(content)
    with bounded():
        try:
            prior = MetaPrior.load(path)
        except PriorError:
            return
    # It holds what another reader finds in the file.
    tensors, record = load(content), record_of(content, "skmeta.prior")
    assert prior.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert prior.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(prior.tensors[name], tensor)
        assert np.isfinite(tensor).all()
    assert same(prior._metadata(), record["fields"])
    prior.save(path)
    assert MetaPrior.load(path) == prior


def write_search_prior(path):
    rng = np.random.default_rng(0)
    searches = [
        PastSearch(
            dataset=f"set {t}",
            configurations=tuple(
                {"SVC.C": float(c), "SVC.kernel": k}
                for c, k in zip(rng.uniform(size=5), "ababa", strict=True)
            ),
            scores=rng.normal(size=5),
            data_sketch=(t, 2**64 - 1),
        )
        for t in range(3)
    ]
    SearchPrior.from_searches(searches).save(path)


SEARCH_PRIOR = content_of(write_search_prior)


@AGAIN
@given(edits(SEARCH_PRIOR, "skmeta.search_prior"))
def test_edited_search_priors(path, content):
    path.write_bytes(content)
    with bounded():
        try:
            prior = SearchPrior.load(path)
        except PriorError:
            return
        F = prior.surfaces([{"SVC.C": 0.5, "SVC.kernel": "a"}, {}])
    assert F.shape == (len(prior), 2)
    tensors, fields = load(content), record_of(content, "skmeta.search_prior")["fields"]
    for task in fields["tasks"]:  # Features that are not finite are left out.
        features = task["dataset_features"].items()
        task["dataset_features"] = {k: float(v) for k, v in features if math.isfinite(v)}
    assert same([task.to_json() for task in prior._tasks], fields["tasks"])
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(prior._tensors[name], tensor)
    prior.save(path)
    assert SearchPrior.load(path) == prior


def train(path, n_iterations=4):
    """Run a small meta-training that resumes from a checkpoint."""

    def objective(state, rng, progress):
        if progress >= n_iterations / 6:
            raise KeyboardInterrupt
        gradient = {n: v + torch.tensor(rng.normal(size=v.shape)) for n, v in state.items()}
        return gradient, {"loss": float((state["w"] ** 2).sum()), "score": 0.0}

    def validate(state):
        return {"loss": 0.0, "score": float(state["w"][0])}

    state = {"w": torch.linspace(-1, 1, 3, dtype=torch.float64)}
    options = loop_settings(n_iterations=6, every=2, checkpoint=path)
    state, history = meta_train(
        state, objective, validate, options, np.random.default_rng(0), identity="one"
    )
    return state["w"].tolist(), history


CHECKPOINT = content_of(lambda path: pytest.raises(KeyboardInterrupt, train, path))

DEEP = "[" * 2000 + "]" * 2000
KINDS = {
    "skmeta.prior": (PRIOR, MetaPrior.load, PriorError),
    "skmeta.search_prior": (SEARCH_PRIOR, SearchPrior.load, PriorError),
    "skmeta.checkpoint": (CHECKPOINT, lambda path: train(path, 6), FileFormatError),
}


VERSION = r'"format_version":\d+'


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("replace", "match"),
    [
        ((VERSION, '"format_version":1e999'), "format_version is inf"),
        ((VERSION, '"format_version":' + DEEP), "nested more than 32 deep"),
        ((VERSION, '"format_version":99'), "Upgrade skmeta to load it"),
        ((VERSION, '"format_version":"2"'), "format_version is '2'"),
        (('"fields":{', '"fields":{"a":' + DEEP + ","), "nested more than 32 deep"),
    ],
    ids=["infinite version", "nested version", "newer version", "text as version", "nested field"],
)
def test_records_that_are_hostile(path, name, replace, match):
    content, load_file, error = KINDS[name]
    header, data = unpack(content)
    record = header["__metadata__"][name]
    header["__metadata__"][name] = re.sub(*replace, record, count=1)
    assert header["__metadata__"][name] != record
    path.write_bytes(pack(header, data))
    with bounded(), pytest.raises(error, match=match):
        load_file(path)


@pytest.mark.parametrize("name", ["skmeta.prior", "skmeta.search_prior"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite(path, name, bad):
    content, load_file, error = KINDS[name]
    header, data = unpack(content)
    first = next(k for k in header if k != "__metadata__" and header[k]["dtype"] in ("F32", "F64"))
    begin, end = header[first]["data_offsets"]
    dtype = {"F32": "<f4", "F64": "<f8"}[header[first]["dtype"]]
    values = np.full((end - begin) // np.dtype(dtype).itemsize, bad, dtype)
    path.write_bytes(pack(header, data[:begin] + values.tobytes() + data[end:]))
    with pytest.raises(error, match=r"NaN or infinity|no finite numbers"):
        load_file(path)


@pytest.mark.parametrize("hidden", [(40, 41), (10**6, 10**6), (40, 40, 10**7), (10**30,)])
def test_a_prior_that_names_a_large_network_is_refused(hidden, tmp_path):
    X, y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    prior = MAML().initial_prior(X, n_classes=2)
    prior.replace(backbone_params={"hidden": hidden}).save(tmp_path / "hostile.skmeta")
    hostile = MetaPrior.load(tmp_path / "hostile.skmeta")
    with (
        bounded(),
        pytest.raises(PriorError, match=r"The prior names|does not have the prior's weights"),
    ):
        MetaFewShotClassifier(hostile).fit(X, y)
    MetaFewShotClassifier(prior).fit(X, y)


def test_a_policy_that_names_a_large_network_is_refused():
    family = PointNavigation(max_episode_steps=5)
    hostile = (
        PolicyMAML(backbone_params={"hidden": (8,)})
        .initial_prior(family)
        .replace(backbone_params={"hidden": (10**6, 10**6), "activation": "tanh"})
    )
    env = family.make(family.sample(1, np.random.default_rng(0))[0])
    with bounded(), pytest.raises(PriorError, match=r"'body.1.bias' has shape"):
        MetaPolicy(hostile).fit(env)


def write_history(path):
    with SearchHistory(path) as history:
        for name in ("first", "second"):
            settings = {"data_digest": "ab" * 16, "data_sketch": (1, 2**63)}
            settings["space"] = {"SVC.C": "loguniform(1, 2)"}
            record = make_record(name, dataset=name, **settings)
            search_id = record_all(history, record)
            for k in range(6):
                own = {"SVC.C": 0.5 + k, "SVC.kernel": "rbf", "SVC.shrinking": True}
                own = {"configuration": own, "error": "ValueError: no" if k == 5 else None}
                scores = (0.75 + k / 100, 0.5)
                one = make_evaluation(
                    f"key {k}", scores, params="", source="prior", **MEASURED | own
                )
                history._record(search_id, one)


HISTORY = content_of(write_history)


def check(path):
    """Read a history. There is no other error or warning than those for histories."""
    with warnings.catch_warnings(record=True) as caught, bounded():
        warnings.simplefilter("always")
        try:
            with SearchHistory(path, mode="read") as history:
                held, past = list(history), history.searches()
        except (HistoryError, FileFormatError):
            return
    assert {w.category for w in caught} <= {SearchWarning}
    assert all(isinstance(one.record, SearchRecord) for one in held)
    assert all(len(one.configurations) == len(one.scores) for one in past)


@AGAIN
@given(damages(len(HISTORY)))
def test_damaged_bytes(path, damage):
    path.write_bytes(damage(HISTORY))
    check(path)


TABLES = ("skmeta_search", "skmeta_candidate", "skmeta_about")
VALUES = (
    JUNK.filter(lambda v: v is None or isinstance(v, bool | int | float | str)).filter(
        lambda v: not isinstance(v, int) or abs(v) < 2**63
    )
    | st.sampled_from(["{", "{}", "[]", "[1e999]", "[" * 2000 + "]" * 2000, '{"a":[NaN]}', "\0"])
    | st.binary(max_size=5)
)


@AGAIN
@given(st.data())
def test_edited_rows(path, data):
    path.write_bytes(HISTORY)
    # `closing`, as a draw can end the example early.
    with contextlib.closing(sqlite3.connect(path)) as connection:
        table = data.draw(st.sampled_from(TABLES))
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column = data.draw(st.sampled_from(columns))
        row = data.draw(st.integers(1, 12))
        value = data.draw(VALUES)
        try:
            with connection:
                connection.execute("PRAGMA ignore_check_constraints = 1")
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
        except (sqlite3.Error, OverflowError, UnicodeEncodeError):
            pass  # not allowed by the table, so that nothing changed
    check(path)


CHANGES = (
    "DROP TABLE {}",
    "ALTER TABLE {} RENAME TO other",
    "ALTER TABLE {} ADD COLUMN more TEXT",
    "CREATE TABLE other (a); INSERT INTO other VALUES (1)",
)


@AGAIN
@given(st.data())
def test_tables_that_are_gone_or_changed(path, data):
    path.write_bytes(HISTORY)
    table = data.draw(st.sampled_from(TABLES))
    statement = data.draw(st.sampled_from(CHANGES))
    connection = sqlite3.connect(path)
    connection.executescript(statement.format(table))
    connection.close()
    check(path)
