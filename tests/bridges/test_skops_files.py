"""Fitted estimators in files without pickle."""

import copy
import importlib
import inspect
import io
import lzma
import subprocess
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import saved
import torch
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer
from tolerances import REFIT

import skmeta
from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.bridges import skops
from skmeta.exceptions import FileFormatError, PriorError, SkmetaWarning
from skmeta.learners import MAML
from skmeta.priors import MetaPrior

skops_io = pytest.importorskip("skops.io")
HERE = Path(__file__).parent


class Fitted(dict):
    """Estimators by name, which are fitted when they are first asked for."""

    def __missing__(self, name):
        self[name] = saved.make(name)
        return self[name]


@pytest.fixture(scope="module")
def fitted():
    return Fitted()


@pytest.fixture(scope="module")
def file_of(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")

    def path_of(name):
        path = folder / f"{name}.skops"
        if not path.exists():
            skops.dump(fitted[name], path)
        return path

    return path_of


@pytest.fixture(scope="module")
def folder(file_of):
    paths = [file_of(name) for name in saved.MAKE]
    return paths[0].parent


@pytest.fixture(scope="module")
def in_another_process(folder):
    code = (
        "import sys, pathlib, numpy, saved; from skmeta.bridges import skops\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "for path in folder.glob('*.skops'):\n"
        "    numpy.savez(path.with_suffix('.npz'), **saved.outputs(skops.load(path)))\n"
    )
    subprocess.run([sys.executable, "-c", code, folder], cwd=HERE, check=True)
    return folder


def test_every_public_estimator_is_here():
    rooms = [importlib.import_module(f"skmeta.{room}") for room in skmeta._MODULES]
    public = {getattr(room, name) for room in rooms for name in getattr(room, "__all__", ())}
    names = {
        kind.__name__
        for kind in public
        if inspect.isclass(kind)
        and issubclass(kind, BaseEstimator)
        and not inspect.isabstract(kind)
        and hasattr(kind, "fit")
    }
    bases = {"MetaLearner", "NetworkLearner"}
    assert names - bases == {name.partition(" ")[0] for name in saved.MAKE}


@pytest.mark.slow
@pytest.mark.parametrize("name", saved.MAKE)
def test_another_process_predicts_the_same(name, fitted, in_another_process):
    with np.load(in_another_process / f"{name}.npz") as actual:
        for key, value in saved.outputs(fitted[name]).items():
            if value.dtype.kind == "U":
                assert np.array_equal(actual[key], value)
            else:
                np.testing.assert_allclose(actual[key], value, rtol=1e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("path", sorted((HERE / "data").glob("*.skops")))
def test_files_of_other_versions_are_read(path):
    # write_saved.py wrote them with the oldest Python, scikit-learn and torch that are supported.
    outputs = saved.outputs(skops.load(path))
    with np.load(path.with_suffix(".npz")) as expected:
        for key in set(expected.files) - {"labels"}:
            np.testing.assert_allclose(outputs[key], expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # It fits every estimator: 20 to 40 seconds.
def test_what_is_trusted_is_needed_and_exists(folder):
    needed = set()
    for path in folder.glob("*.skops"):
        needed |= set(skops_io.get_untrusted_types(data=lzma.decompress(path.read_bytes())))
    own = {name for name in skops.TRUSTED_TYPES if name.startswith("skmeta.")}
    # What was held out is a field of a level, and dropped before a model is saved.
    own -= {"skmeta._tabular._member.HeldOut"}
    assert {name for name in needed if name.startswith("skmeta.")} == own
    for name in set(skops.TRUSTED_TYPES) - set(skops._EARLIER):
        module, _, attribute = name.rpartition(".")
        # The name is where it is defined, so that nothing else is reached through it.
        assert getattr(importlib.import_module(module), attribute).__module__ in (
            module,
            "builtins",
        )


@pytest.mark.parametrize("regression", [True, False])
def test_a_file_of_a_few_hundred_rows_is_small(tmp_path, regression):
    X, y = load_diabetes(return_X_y=True)
    X, y = np.c_[X, X[:, 0]][:224], (y if regression else y > 120)[:224]
    model = (MetaFewShotRegressor() if regression else MetaFewShotClassifier()).fit(X, y)
    skops.dump(model, tmp_path / "model.skops")
    # A classification has a forest.
    most = 110_000 if regression else 150_000
    assert (tmp_path / "model.skops").stat().st_size < most
    buffer = io.BytesIO()
    joblib.dump(model, buffer, compress=3)
    assert len(buffer.getvalue()) < most
    buffer.seek(0)
    assert np.array_equal(joblib.load(buffer).predict(X), model.predict(X))


def test_an_estimator_that_was_loaded_goes_on(tmp_path):
    X, y, _ = saved.rows(60)
    one = MetaFewShotRegressor().fit(X[:30], y[:30])
    skops.dump(one, tmp_path / "model.skops")
    two = skops.load(tmp_path / "model.skops")
    assert two.adapted_.keys() == one.adapted_.keys()
    one, two = (each.partial_fit(X[30:], y[30:]).predict(X) for each in (one, two))
    np.testing.assert_allclose(two, one, **REFIT)


@pytest.mark.parametrize("device", ["cuda:7", torch.device("cuda", 7)])
@pytest.mark.parametrize("name", ["MetaFewShotRegressor of MAML", "MetaPolicy"])
def test_an_estimator_of_a_gpu_predicts_where_there_is_none(tmp_path, fitted, name, device):
    model = copy.copy(fitted[name])
    expected = saved.outputs(model)
    model.device = device
    skops.dump(model, tmp_path / "model.skops")
    with pytest.warns(SkmetaWarning, match="device='cuda:7', which is not available here"):
        loaded = skops.load(tmp_path / "model.skops")
    assert loaded.device == "cpu"
    for key, value in saved.outputs(loaded).items():
        assert np.array_equal(expected[key], value)


def rewrite(path, target, old, new, *, is_signed=True):
    """Write a file again with text replaced in the tree of skops."""
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(lzma.decompress(path.read_bytes()))) as archive,
        zipfile.ZipFile(changed, "w") as other,
    ):
        for name in archive.namelist():
            text = archive.read(name)
            if not is_signed or name != skops._DIGEST:
                text = text.replace(old, new) if name == "schema.json" else text
                other.writestr(name, text)
    content = changed.getvalue()
    target.write_bytes(lzma.compress(skops._with_digest(content) if is_signed else content))


CHANGES = {
    "is no file of": lambda content: b"no estimator",
    "cut short": lambda content: content[:-20],
    "unpacks to too many": lambda content: lzma.compress(bytes(2**27), preset=0),
    "is damaged": lambda content: lzma.compress(b"PK"),
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_changed_file_is_refused(file_of, tmp_path, message):
    content = file_of("MAML").read_bytes()
    (tmp_path / "changed.skops").write_bytes(CHANGES[message](content))
    with pytest.raises(FileFormatError, match=message):
        skops.load(tmp_path / "changed.skops")


def test_a_value_that_was_edited_is_seen_when_the_file_is_read(file_of, tmp_path):
    path, changed = file_of("GroupedRegressor of a learner"), tmp_path / "changed.skops"
    rewrite(path, changed, b"", b"", is_signed=False)
    skops.load(changed)
    rewrite(path, changed, b'"intercept\\"', b'"slope\\"', is_signed=False)
    with pytest.raises(FileFormatError, match="altered after it was written: its digest is"):
        skops.load(changed)


def test_a_file_without_a_digest_is_refused(tmp_path):
    (tmp_path / "model.skops").write_bytes(lzma.compress(skops_io.dumps(Ridge())))
    with pytest.raises(FileFormatError, match=r"is no file of skmeta\.bridges\.skops\.dump"):
        skops.load(tmp_path / "model.skops")


def test_members_are_not_unpacked_before_their_size_is_known(tmp_path, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(2**27))
    (tmp_path / "bomb.skops").write_bytes(lzma.compress(packed.getvalue()))
    monkeypatch.delattr(zipfile.ZipFile, "open")
    with pytest.raises(FileFormatError, match="unpacks to too many bytes"):
        skops.load(tmp_path / "bomb.skops")


def test_functions_of_a_file_are_not_called_unless_trusted(tmp_path):
    skops.dump(FunctionTransformer(inspect.cleandoc), tmp_path / "model.skops")
    with pytest.raises(FileFormatError, match=r"not trusted: inspect\.cleandoc"):
        skops.load(tmp_path / "model.skops")
    loaded = skops.load(tmp_path / "model.skops", trusted=[inspect.cleandoc])
    assert loaded.func is inspect.cleandoc


def test_a_class_that_is_gone_is_named(file_of, tmp_path, monkeypatch):
    monkeypatch.delattr("skmeta.learners._maml.MAML")
    with pytest.raises(FileFormatError, match="Install the versions that wrote it"):
        skops.load(file_of("MAML"))


def test_another_prior_of_the_same_name_is_an_error(file_of, tmp_path):
    digest = MetaPrior.load_shipped("regression").digest.encode()
    path, changed = file_of("MetaFewShotRegressor"), tmp_path / "changed.skops"
    rewrite(path, changed, digest, b"0" * 64)
    with pytest.raises(PriorError, match="another prior of this name"):
        skops.load(changed)
    rewrite(path, changed, b"tables-regression", b"tables-of-old")
    with pytest.raises(PriorError, match="no prior of this name"):
        skops.load(changed)


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 99), ("feature_idx", -1)]
)
def test_trees_that_lead_nowhere_are_refused(tmp_path, fitted, field, value):
    model = copy.deepcopy(fitted["MetaFewShotRegressor"])
    # Not a prediction: it would read memory that is not its own.
    trees = model._mixture.members["boosting"].model
    trees.nodes[field][trees.first[3]] = value
    skops.dump(model, tmp_path / "model.skops")
    with pytest.raises(FileFormatError, match=r"a tree of its TreeEnsemble leads nowhere"):
        skops.load(tmp_path / "model.skops")


@pytest.mark.parametrize("position", [0, -5, 10**6])
def test_a_forest_that_leads_nowhere_is_refused(tmp_path, position):
    X, y, _ = saved.rows(40)
    model = RandomForestClassifier(2, random_state=0).fit(X, y > 0)
    skops.dump(model, tmp_path / "model.skops")
    assert np.array_equal(skops.load(tmp_path / "model.skops").predict(X), model.predict(X))
    model.estimators_[1].tree_.children_left[0] = position
    skops.dump(model, tmp_path / "model.skops")
    with pytest.raises(FileFormatError, match="a decision tree leads nowhere"):
        skops.load(tmp_path / "model.skops")


def test_a_network_of_the_user_is_refused_with_advice(tmp_path):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 3))
    learner = saved.fit_learner(MAML(backbone=network, **saved.QUICK))
    with pytest.raises(TypeError, match=r"save the prior, with estimator\.prior_\.save"):
        skops.dump(learner, tmp_path / "model.skops")
    assert not (tmp_path / "model.skops").exists()
