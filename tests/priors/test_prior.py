"""Tests of MetaPrior."""

import copy
import json
import pickle

import numpy as np
import pytest
from builders import PRIOR_FIELDS, make_prior, prior_tensors
from sklearn.base import clone
from tensor_files import pack, unpack

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import PriorError
from skmeta.priors import MetaPrior


class Net:
    """Stands for a user's torch module."""


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "prior.safetensors"
    make_prior().save(path)
    return path


def rewrite(path, change_record):
    """Save a prior file again with its record changed and its digest renewed."""
    header, data = unpack(path.read_bytes())
    [name] = set(header["__metadata__"]) - {"sha256"}
    text = header["__metadata__"][name]
    record = json.loads(text)
    change_record(record)
    header["__metadata__"][name] = json.dumps(record)
    path.write_bytes(pack(header, data))


def test_fields_are_plain_and_typed():
    prior = make_prior()
    assert prior.learner_params == {"inner_lr": 0.4, "n_inner_steps": 5, "first_order": False}
    assert type(prior.learner_params["n_inner_steps"]) is int
    assert prior.backbone_params["hidden"] == (40, 40)
    assert prior.feature_names_in == ("a", "b", "c")
    assert prior.input_shape == (1, 3)
    assert type(prior.input_shape[1]) is int
    assert prior.n_parameters == 12 + 4 + 1  # the scaler does not count


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([3, 1], np.int64),
        (np.array([3, 1], dtype=np.int32), np.int64),
        ([0.5, 1.0], np.float64),
        ([True, False], np.bool_),
        (["b", "a"], np.dtype("U1")),
        (np.array(["b", "a"], dtype=object), np.dtype("U1")),
        ([np.str_("b"), "a"], np.dtype("U1")),
    ],
)
def test_labels_keep_their_type(tmp_path, labels, dtype):
    prior = make_prior(classes=labels, trained_on=labels)
    prior.save(tmp_path / "prior")
    for p in (prior, MetaPrior.load(tmp_path / "prior"), pickle.loads(pickle.dumps(prior))):
        for attribute in (p.classes, p.trained_on):
            assert attribute.dtype == dtype
            assert attribute.tolist() == list(labels)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"kind": "ranking"}, ValueError, r"kind must be one of .* got 'ranking'"),
        ({"trained_on_kind": "rows"}, ValueError, "trained_on_kind='rows' and trained_on given"),
        ({"trained_on_kind": None}, ValueError, "trained_on_kind=None and trained_on given"),
        ({"trained_on": None}, ValueError, "trained_on_kind='classes' and trained_on missing"),
        ({"feature_names_in": ["a"]}, ValueError, "n_features_in=3 features, got 1 names"),
        ({"classes": [1, "a"]}, TypeError, r"classes must be all bools.* got int and str"),
        ({"trained_on": [None]}, TypeError, "trained_on must be all bools.* got NoneType"),
        ({"tensors": {"w": np.arange(3)}}, TypeError, r"tensors\['w'\] must be .* got int64"),
        (
            {"learner_params": {"layers": [1, object()]}},
            TypeError,
            r"learner_params\['layers'\]\[1\] must be None.*of type object. Leave it out",
        ),
        ({"provenance": {"x": {1: 2}}}, TypeError, r"provenance\['x'\] must be None.* type dict"),
    ],
)
def test_wrong_fields_are_refused(changes, error, match):
    with pytest.raises(error, match=match):
        make_prior(**changes)


def test_it_copies_what_it_is_given():
    tensors, params = prior_tensors(), {"sizes": [1, 2]}
    prior = make_prior(tensors=tensors, learner_params=params)
    tensors["body.weight"][:] = -1
    params["sizes"].append(3)
    np.testing.assert_array_equal(prior.tensors["body.weight"], prior_tensors()["body.weight"])
    assert prior.learner_params["sizes"] == (1, 2)


def test_nothing_can_be_changed():
    prior = make_prior()
    with pytest.raises(AttributeError, match=r"'kind' cannot be set.*prior\.replace\("):
        prior.kind = "regression"
    with pytest.raises(AttributeError, match=r"'kind' cannot be deleted.*prior\.replace"):
        del prior.kind
    for mapping in (prior.tensors, prior.learner_params, prior.provenance["versions"]):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["x"] = 1
    for array in (prior.tensors["head.weight"], prior.classes, prior.trained_on):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_clones_and_copies_share_it():
    prior = make_prior()
    estimator = MetaFewShotClassifier(prior)
    assert clone(estimator).prior is prior
    assert copy.deepcopy(estimator).prior is prior
    assert copy.copy(prior) is prior
    assert not hasattr(prior, "get_params")


def test_equality_and_hash_follow_the_contents():
    prior = make_prior()
    assert prior == make_prior()
    assert prior is not make_prior()
    assert len({prior, make_prior()}) == 1
    assert prior != "MAML"
    assert make_prior(tensors=dict(reversed(prior_tensors().items()))) == prior


@pytest.mark.parametrize(
    "changes",
    [
        {"learner": "Reptile"},
        {"provenance": {}},
        {"classes": [0, 1]},
        {"tensors": prior_tensors() | {"step.lr": np.array(0.2)}},
        {"tensors": prior_tensors() | {"step.lr": np.array([0.1])}},
        {"tensors": prior_tensors() | {"step.lr": np.array(0.1, dtype=np.float32)}},
        {"tensors": prior_tensors() | {"more": np.zeros(0)}},
    ],
)
def test_a_change_of_contents_changes_the_digest(changes):
    assert make_prior(**changes) != make_prior()


def test_a_module_is_kept_but_not_saved(tmp_path):
    net = Net()
    prior = make_prior(backbone="my.Net", module=net)
    assert prior.module is net
    assert not prior.needs_module
    prior.save(tmp_path / "prior")
    loaded = MetaPrior.load(tmp_path / "prior")
    assert loaded.needs_module
    assert "module missing" in repr(loaded)
    assert loaded == prior
    assert pickle.loads(pickle.dumps(loaded)).needs_module
    assert loaded.replace(provenance={}).needs_module
    assert not loaded.replace(module=net).needs_module
    assert not loaded.replace(backbone="mlp").needs_module
    assert MetaPrior.load(tmp_path / "prior", module=net).module is net
    assert isinstance(pickle.loads(pickle.dumps(prior)).module, Net)


def test_a_module_for_a_built_in_backbone_is_refused(saved):
    with pytest.raises(PriorError, match="has the backbone 'mlp' of skmeta"):
        MetaPrior.load(saved, module=Net())


@pytest.mark.parametrize("through", ["file", "pickle"])
def test_round_trip(saved, through):
    prior = make_prior()
    again = MetaPrior.load(str(saved)) if through == "file" else pickle.loads(pickle.dumps(prior))
    assert again == prior
    assert again.tensors.keys() == prior.tensors.keys()
    for name, tensor in prior.tensors.items():
        assert again.tensors[name].dtype == tensor.dtype
        assert again.tensors[name].shape == tensor.shape
        assert not again.tensors[name].flags.writeable
        np.testing.assert_array_equal(again.tensors[name], tensor)
    for name in PRIOR_FIELDS:
        before, after = getattr(prior, name), getattr(again, name)
        assert type(after) is type(before)
        np.testing.assert_equal(_plain(after), _plain(before))


def _plain(value):
    return dict(value) if hasattr(value, "items") else value


def test_a_missing_file_or_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        MetaPrior.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="Create it before 'prior' is written to it"):
        make_prior().save(tmp_path / "none" / "prior")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(saved, value):
    broken = prior_tensors() | {"head.weight": np.array([[0.0, value, 0.0, 0.0]])}
    with pytest.raises(ValueError, match=r"tensors\['head.weight'\] holds NaN or infinity"):
        make_prior(tensors=broken).save(saved)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda record: record["fields"].pop("kind"), "lacks kind. Give a file"),
        (lambda record: record["fields"].clear(), "lacks backbone, backbone_params, classes"),
        (lambda record: record.pop("fields"), "description cannot be read .'fields' is missing"),
        (lambda record: record.update(fields=3), "its fields are missing"),
        (lambda record: record.update(format_version=True), "format_version is True"),
    ],
)
def test_missing_fields(saved, change, match):
    rewrite(saved, change)
    with pytest.raises(PriorError, match=match):
        MetaPrior.load(saved)


@pytest.mark.parametrize(
    "field",
    [
        {"kind": "ranking"},
        {"surprise": 1},
        {"learner": 3},
        {"learner_params": []},
        {"n_features_in": 3.0},
        {"n_features_in": True},
        {"feature_names_in": ["a", "b", 3]},
        {"input_shape": [1, "3"]},
        {"classes": [1, "a"]},
        {"classes": [2**70]},
        {"user_module": None},
    ],
    ids=str,
)
def test_fields_that_are_signed_but_wrong(saved, field):
    rewrite(saved, lambda record: record["fields"].update(field))
    with pytest.raises(PriorError, match="holds a field that is not allowed"):
        MetaPrior.load(saved)


@pytest.mark.parametrize(
    ("n_features", "names", "match"),
    [
        (1, None, "X has 1 feature, but the prior was meta-trained on 3 features. Give data"),
        (3, ["a", "b", "d"], r"Unseen in meta-training: 'd'\. Missing now: 'c'\. Rename"),
        (3, ["a", "c", "b"], "Their order differs"),
    ],
)
def test_features_that_do_not_fit(n_features, names, match):
    with pytest.raises(PriorError, match=match):
        make_prior().check_features(n_features, names)
