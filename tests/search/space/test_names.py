"""Names, keys and values of configurations."""

import numpy as np
import pytest
from searching import Counted
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.space import candidate_key, canonical_configurations, canonical_names


def describe(estimator):
    [found] = canonical_configurations(estimator, [{}])
    return found


def test_names_do_not_depend_on_the_names_of_steps():
    one = canonical_names(Pipeline([("scale", StandardScaler()), ("clf", SVC())]))
    other = canonical_names(make_pipeline(StandardScaler(), SVC()))
    assert one["clf__C"] == other["svc__C"] == canonical_names(SVC())["C"] == "SVC.C"
    assert set(one.values()) == set(other.values())


def test_names_are_unique_within_an_estimator():
    columns = ColumnTransformer(
        [("a", SimpleImputer(), [0]), ("b", SimpleImputer(strategy="median"), [1])]
    )
    pipeline = make_pipeline(columns, AdaBoostClassifier(DecisionTreeClassifier(max_depth=2)))
    names = canonical_names(pipeline)
    assert len(set(names.values())) == len(names)
    described = describe(pipeline)
    assert described["SimpleImputer.strategy"] == "mean"
    assert described["SimpleImputer#2.strategy"] == "median"
    assert described["DecisionTreeClassifier.max_depth"] == 2
    assert described["AdaBoostClassifier.estimator"] == "DecisionTreeClassifier"


def test_configurations_agree_with_describing_each_estimator():
    pipeline = Pipeline([("reduce", PCA()), ("clf", SVC())])
    candidates = [
        {"clf__C": 3.0, "clf__kernel": "poly"},
        {"reduce": "passthrough", "clf__C": np.float64(0.5)},
        {"reduce": None, "clf": RandomForestClassifier(max_depth=2), "clf__max_features": None},
        {"clf": SVC(gamma=0.1), "clf__C": np.int64(2)},
    ]
    found = canonical_configurations(pipeline, candidates)
    for params, configuration in zip(candidates, found, strict=True):
        expected = describe(clone(pipeline).set_params(**clone(params, safe=False)))
        assert configuration == expected
    assert found[2]["RandomForestClassifier.max_depth"] == 2
    assert "SVC.C" not in found[2]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": np.float64(0.1)}, {"a": 0.1}, True),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": SVC(C=2)}, {"a": SVC(C=2)}, True),
        ({"a": SVC(C=2)}, {"a": SVC(C=3)}, False),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, False),  # code may iterate over it
        ({"a": np.arange(3)}, {"a": np.arange(3)}, True),
        ({"a": np.arange(3)}, {"a": np.arange(4)}, False),
        ({"a": (1, 2)}, {"a": [1, 2]}, False),
        ({"a": np.mean}, {"a": np.median}, False),
        ({"a": SVC}, {"a": SVC()}, False),
    ],
)
def test_keys_are_equal_for_equal_candidates(one, other, equal):
    assert (candidate_key(one) == candidate_key(other)) is equal


SECRET = "hunter2"


class Remote(Counted):
    def __init__(self, password=None, region="north", depth=3, headers=None):
        super().__init__()
        self.password = password
        self.region = region
        self.depth = depth
        self.headers = headers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (np.float32(0.5), 0.5),
        ([1, 2.5], "[1, 2.5]"),
        ((64, 64), "(64, 64)"),
        ("drop", "drop"),
        ("north", "digest:"),  # the default of another parameter
        (SECRET, "digest:"),
        ([SECRET], "digest:"),
        ({"key": SECRET}, "digest:"),
        (b"hunter2", "digest:"),
        (np.array([1.0]), "digest:"),
    ],
    ids=repr,
)
def test_a_parameter_that_is_not_searched_is_kept_if_it_cannot_be_a_secret(value, expected):
    found = describe(Remote(password=value))["Remote.password"]
    assert found == expected if expected != "digest:" else found.startswith("digest:")
    assert SECRET not in str(found)


def test_defaults_and_declared_options_are_kept():
    assert describe(Remote())["Remote.region"] == "north"
    described = describe(SVC(kernel="poly", gamma="auto"))
    assert (described["SVC.kernel"], described["SVC.gamma"]) == ("poly", "auto")
    described = describe(MLPClassifier())
    assert described["MLPClassifier.hidden_layer_sizes"] == "(100,)"
    described = describe(Pipeline([("a", "passthrough"), ("b", SVC())]))
    assert described["Pipeline.step_0"] == "passthrough"


def test_what_is_searched_is_kept():
    [found] = canonical_configurations(Remote(password=SECRET), [{"region": "south"}])
    assert found["Remote.region"] == "south"
    assert found["Remote.password"].startswith("digest:")


def test_no_file_of_a_history_holds_a_secret(tmp_path):
    X, y = load_iris(return_X_y=True)
    estimator = Remote(password=SECRET, headers={"Authorization": SECRET})
    with SearchHistory(tmp_path / "searches.db") as history:
        MetaLearnedSearchCV(estimator, {"depth": [1, 2, 3]}, n_iter=3, history=history).fit(X, y)
        history.add(estimator, [{"depth": 4}], [0.5], dataset="iris")
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
