"""Bad input, and learners taken for estimators: an error says what, where and what to do."""

from decimal import Decimal
from typing import ClassVar

import builders
import numpy as np
import pandas as pd
import pytest
from builders import make_classes, make_intercepts
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from torch import nn

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import EpisodeError, PriorError
from skmeta.learners import (
    ANIL,
    MAML,
    ALPaCA,
    AutoLearner,
    ExecutionOptions,
    FineTuning,
    HierarchicalLinear,
    MetaNAS,
    MetaOptimizer,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

SMALL = builders.SMALL | {"sampling": "class", "backbone_params": {"hidden": (5,)}}
CONV = SMALL | {"backbone": "conv4", "backbone_params": {"n_channels": 4, "n_blocks": 2}}


def changed(data, part, row, value):
    """Rows, labels and perhaps groups, with one value replaced."""
    data = [np.array(values, float if part < 2 else None) for values in data]
    data[part][row] = value
    return data


CLASSES, ONE_CLASS, GROUPS = make_classes(), make_classes(n_classes=1), make_intercepts(10, 6)
NAMED = np.array([f"class {k}" for k in CLASSES[1]])
IMAGES = make_classes(n_features=64)
REGRESSION = {"target_type": "regression"}
SERIES = pd.Series(np.arange(40.0))
ERRORS = [
    (MAML, {}, changed(CLASSES, 0, 3, np.nan), r"Input X contains NaN"),
    (MAML, {}, changed(CLASSES, 0, 3, -np.inf), r"Input X contains infinity"),
    (MAML, REGRESSION, changed(GROUPS, 1, 7, np.nan), r"y is nan in row 7 .*Drop or impute"),
    (MAML, REGRESSION, changed(GROUPS, 1, 7, np.inf), r"y is inf in row 7 .*Drop or impute"),
    (MAML, {}, ([["red"], ["blue"]] * 10, ["a", "b"] * 10), "X holds strings .*OneHotEncoder"),
    (MAML, {}, (SERIES, SERIES / 7), "[Ee]xpected (a )?2"),
    (MAML, {}, ONE_CLASS, "n_way=3, but the number of classes is 1"),
    (MAML, {}, (*ONE_CLASS, np.arange(6) // 3), "y has one class, 0, but a classification nee"),
    (MAML, {}, GROUPS[:2], r"targets are continuous.*groups is None.*Pass groups"),
    (MAML, REGRESSION, GROUPS[:2], "which rows form a task, but groups is None"),
    (ProtoNet, {}, (CLASSES[0], CLASSES[1] % 2), "if each task is a group of rows, pass groups"),
    (ProtoNet, {}, GROUPS, "ProtoNet learns classification tasks, but these are"),
    (FineTuning, {}, CLASSES, "Pass groups, and leave head_init='auto'"),
    (ProtoNet, {"validation": 0}, (CLASSES[0][:-4], NAMED[:-4]), r"'class \d+' has 2 rows, .* 4\."),
    (ProtoNet, {}, (CLASSES[0], CLASSES[1][:-1]), "y has 71 values for 72 rows|inconsistent num"),
    (ProtoNet, {}, (CLASSES[0], None), "None"),
    (MAML, {}, (*GROUPS[:2], "shop"), r"groups='shop' is a string, .* groups=frame\['shop'\]"),
    (MAML, {}, (*GROUPS[:2], GROUPS[2][:-1]), "groups has 59 values for 60 rows"),
    (MAML, CONV | {"input_shape": (1, 8, 9)}, IMAGES, r"input_shape=\(1, 8, 9\) has 72 values"),
    (MAML, {"device": "abacus"}, CLASSES, "device='abacus' is not available here.*device='auto'"),
    (MAML, {"backbone": "conv5"}, CLASSES, r"got 'conv5'\. Did you mean 'conv4'\?"),
    (MAML, {"backbone": 3}, CLASSES, r"backbone must be a torch\.nn\.Module or one of"),
    (MAML, {"backbone": nn.Linear}, CLASSES, r"the class Linear, .* example backbone=Linear\(\)"),
]


@pytest.mark.parametrize(("learner", "settings", "data", "match"), ERRORS)
def test_data_and_settings_that_cannot_be_learned_from(learner, settings, data, match):
    with pytest.raises(ValueError, match=match):
        learner(**SMALL | settings).fit(*data)


@pytest.mark.parametrize("learner", [MAML, ANIL, MetaSGD, Reptile, FineTuning])
def test_unequal_shots_are_learned_from(learner):
    X, _, groups = make_intercepts(12, 6)
    y = np.arange(len(X)) % 2
    # Of six rows, some groups lose their first, some their first and third.
    keep = (np.arange(len(X)) % 18 != 0) & ~np.isin(np.arange(len(X)) % 24, (6, 8))
    assert set(np.bincount(groups[keep])) == {4, 5, 6}
    fitted = learner(**SMALL).fit(X[keep], y[keep], groups[keep])
    assert np.isfinite(fitted.learning_curve_["train_loss"]).all()
    assert np.isfinite(fitted.score(X[keep], y[keep], groups[keep] + 100))


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("n_way", 1, "The 'n_way' parameter of MAML must be"),
        ("n_shot", 0, "The 'n_shot' parameter of MAML must be"),
        ("n_query", 0.5, "The 'n_query' parameter of MAML must be"),
        ("inner_lr", 0, "The 'inner_lr' parameter of MAML must be"),
        ("n_inner_steps", -1, "The 'n_inner_steps' parameter of MAML must be"),
        ("meta_lr", "fast", "The 'meta_lr' parameter of MAML must be"),
        ("head_init", "random", "The 'head_init' parameter of MAML must be"),
        ("sampling", "row", "The 'sampling' parameter of MAML"),
        ("random_state", "seed", "The 'random_state' parameter of MAML must be"),
        ("meta_optimizer", "lion", "The 'name' parameter of MetaOptimizer must be"),
        ("meta_optimizer", MetaOptimizer(schedule="step"), "The 'schedule' parameter of MetaOpti"),
        ("execution", "processes", "The 'mode' parameter of ExecutionOptions must be"),
        ("execution", ExecutionOptions(precision="float16"), "The 'precision' parameter of Exec"),
        ("validation", 1.0, "The 'fraction' parameter of Validation must be"),
        ("validation", Validation(patience=0), "The 'patience' parameter of Validation must be"),
        ("per_step_norm", 2, "The 'per_step_norm' parameter of MAML"),
        ("label_smoothing", 1.0, "The 'label_smoothing' parameter of MAML must be"),
        ("learn", {"momentum": "scalar"}, "learn has 'momentum', which is not a setting of"),
        (
            "learn",
            {"weight_decay": "layer"},
            r"'weight_decay'\] must be 'scalar' or .* Got 'lay",
        ),
        ("learn", {"label_smoothing": "tensor"}, r"must be 'scalar': .* Got 'tensor'"),
    ],
)
def test_parameters_and_options_out_of_range(name, value, match):
    with pytest.raises(ValueError, match=match):
        MAML(**SMALL | {name: value}).fit(*make_classes())


def test_scoring_labels_that_a_learned_head_does_not_know():
    X, _, groups = make_intercepts(10, 6)
    y = np.arange(60) % 2
    learner = MAML(**SMALL).fit(X, y, groups)
    with pytest.raises(EpisodeError, match="y has labels that classes does not have: 7"):
        learner.score(X, np.where(y == 1, 7, 0), groups + 100)


def test_a_learned_head_with_too_few_rows():
    X, y = make_classes()
    learner = MAML(**SMALL, head_init="learned").fit(X, y)
    learner.set_params(n_way=4)
    with pytest.raises(PriorError, match="has 4 classes, but the prior's head has learned"):
        learner.score(X, y + 100)


@pytest.mark.parametrize("convert", [Decimal, float])
def test_numbers_that_are_kept_as_objects_are_targets(convert):
    X, y, groups = make_intercepts(10, 6)
    objects = np.array([convert(str(v)) for v in y], dtype=object)
    found, same = (
        HierarchicalLinear(effects="intercept").fit(X, t, groups=groups) for t in (objects, y)
    )
    assert found.prior_.kind == "regression"
    np.testing.assert_array_equal(
        found.prior_.tensors["head.weight"], same.prior_.tensors["head.weight"]
    )


@pytest.mark.parametrize("kind", ["datetime64[D]", object])
def test_groups_that_a_prior_cannot_keep(kind):
    X, y, groups = make_intercepts(10, 6)
    days = (np.datetime64("2024-01-01") + groups).astype(kind)
    for learner in (HierarchicalLinear(), AutoLearner()):
        with pytest.raises(ValueError, match=r"groups has labels of type date.*Convert them"):
            learner.fit(X, y, groups=days)


@pytest.mark.parametrize("n_tasks", [0, -1, 2.5])
def test_a_number_of_tasks_that_is_no_count(n_tasks):
    X, y, groups = make_intercepts(10, 6)
    learner = HierarchicalLinear(effects="intercept").fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="n_tasks must be an integer of at least 1"):
        learner.score_tasks(X, y, groups=groups + 100, n_tasks=n_tasks)


def test_images_of_another_shape_than_those_of_the_prior():
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 3, 8, 8)), np.repeat(np.arange(5), 6)
    learner = ProtoNet(**CONV | {"validation": 0}).fit(X, y)
    last, wrong = X.transpose(0, 2, 3, 1), r"rows of shape \(8, 8, 3\), but input_shape=\(3, 8, 8\)"
    clf = MetaFewShotClassifier(learner).fit(X[:12], y[:12])
    for call in (
        lambda: learner.score(last, y),
        lambda: MetaFewShotClassifier(learner).fit(last[:12], y[:12]),
        lambda: clf.predict(last),
    ):
        with pytest.raises(ValueError, match=wrong):
            call()


def test_grey_images_need_no_axis_of_channels():
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 8, 8)), np.repeat(np.arange(5), 6)
    settings = CONV | {"validation": 0}
    with pytest.raises(ValueError, match=r"the input has shape \(8, 8\)\. Pass input_shape"):
        ProtoNet(**settings).fit(X, y)
    expected = ProtoNet(**settings).fit(X[:, None], y)
    for rows in (X, X.tolist(), list(X), X[..., None], X.reshape(30, -1)):
        found = ProtoNet(**settings, input_shape=(1, 8, 8)).fit(rows, y)
        assert found.prior_.digest == expected.prior_.digest
    few = MetaFewShotClassifier(expected).fit(X[:12], y[:12])
    assert_array_equal(few.predict(X.tolist()), few.predict(X[:, None]))


@pytest.mark.parametrize(
    ("X", "params", "match"),
    [
        (np.arange(6.0), {}, "Expected 2D array, got 1D array"),
        ([[1.0, np.inf], [2.0, 3.0]], {}, "contains infinity"),
        (np.ones((4, 2)), {"n_classes": -3}, "n_classes must be an integer of at least 2, got -3"),
        (np.ones((4, 2)), {"y": [0, 1, 0]}, "y has 3 values for 4 rows"),
        (np.ones((4, 2)), {"y": [0.5], "kind": "regression"}, "y has 1 values for 4 rows"),
        (np.ones((4, 2)), {"kind": "reg"}, "kind must be 'classification' or 'regr.*got 'reg'"),
    ],
)
def test_a_prior_before_any_training_has_the_checks_of_fit(X, params, match):
    learner = FineTuning()
    with pytest.raises(ValueError, match=match):
        learner.initial_prior(X, **params)
    assert not vars(learner).keys() & {"n_features_in_", "prior_"}


def test_a_prior_before_any_training_knows_categories():
    frame = pd.DataFrame({"colour": ["red", "blue", "green"] * 20, "size": np.arange(60.0)})
    reg = MetaFewShotRegressor(FineTuning().initial_prior(frame, kind="regression"))
    assert reg.fit(frame[:12], frame["size"][:12]).predict(frame).shape == (60,)


@pytest.mark.parametrize("name", ["prior_", "learning_curve_"])
def test_a_fitted_attribute_of_an_unfitted_learner(name):
    with pytest.raises(NotFittedError, match=rf"MAML is not fitted yet, .* no {name}\. Call fit"):
        getattr(MAML(), name)
    assert not hasattr(MAML(), name)
    with pytest.raises(NotFittedError, match=r"MetaNAS is not fitted yet, .* no architecture_"):
        _ = MetaNAS().architecture_


def test_a_learner_does_not_predict():
    learner = ProtoNet(**SMALL)
    with pytest.raises(AttributeError, match=r"ProtoNet has no predict: .* Call fit first, then"):
        learner.predict([[0.0]])
    learner.fit(*make_classes())
    used = r"Use .*MetaFewShotClassifier\(learner\)\.fit\(.*\.predict_proba\(\.\.\.\)"
    with pytest.raises(AttributeError, match=used):
        _ = learner.predict_proba
    with pytest.raises(AttributeError, match="'ProtoNet' object has no attribute 'colour'"):
        _ = learner.colour
    with pytest.raises(AttributeError, match=r"AutoLearner has no predict: .* Call fit first, t"):
        AutoLearner().predict([[0.0]])
    with pytest.raises(NotFittedError, match=r"AutoLearner is not fitted yet, .* no leaderboard_"):
        _ = AutoLearner().leaderboard_


def test_a_parameter_is_an_attribute_with_a_type():
    class Warmer(ProtoNet):
        temperature: float = 1.0
        note: ClassVar[str] = "no parameter"

    assert Warmer(n_way=3).get_params().keys() - ProtoNet().get_params().keys() == {"temperature"}
    assert Warmer(temperature=2.0).temperature == 2.0


@pytest.mark.parametrize("meta_lr", [9.0, 1e6])
def test_a_meta_learning_rate_that_is_absurd(meta_lr):
    X, y, groups = make_sinusoid_tasks(20, 10, random_state=0)
    with pytest.raises(FloatingPointError, match=r"at iteration \d.* Lower meta_lr or clip_norm"):
        ALPaCA(n_iterations=20, meta_lr=meta_lr, device="cpu", random_state=0).fit(X, y, groups)


def test_a_state_from_which_no_task_can_be_learned():
    X, y, groups = make_sinusoid_tasks(20, 10, random_state=0)
    learner = ALPaCA(n_iterations=0, device="cpu", random_state=0).fit(X, y, groups)
    tensors = learner.prior_.tensors
    tensors = {n: 1e200 * t.astype(float) for n, t in tensors.items() if n[:5] != "rows."}
    reg = MetaFewShotRegressor(learner.prior_.replace(tensors=tensors), device="cpu")
    with pytest.raises(ValueError, match=r"The adaptation to these 5 rows .* Scale X and y"):
        reg.fit(X[:5], y[:5])


def test_a_parameter_without_a_type_in_a_subclass_is_told():
    class Quick(MAML):
        n_inner_steps = 3

    with pytest.raises(TypeError, match="'n_inner_steps' is no parameter of Quick, because"):
        Quick()
