"""The two estimators inside scikit-learn's tools, and what they answer to bad input."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaLearnedSearchCV
from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import PriorError
from skmeta.learners import MAML, FineTuning, HierarchicalLinear, LSTMMetaLearner, MetaSGD, ProtoNet
from skmeta.priors import MetaPrior

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

# The same numbers at other addresses: kernels that read them by address round in other places.
ROUNDING = {"rtol": 1e-4, "atol": 1e-6}


def iris_prior(head_init="shared", **settings):
    X, _ = load_iris(return_X_y=True, as_frame=True)
    learner = MAML(head_init=head_init, random_state=0, inner_lr=0.5, **settings)
    return learner.initial_prior(X, kind="classification", n_classes=3)


def drawn_prior(X):
    return FineTuning(random_state=0).initial_prior(X, kind="regression")


def test_prediction_does_not_depend_on_the_rows_beside_it():
    X, y = load_digits(return_X_y=True)
    blocks = {"n_channels": 8, "n_blocks": 2}
    learner = ProtoNet(
        backbone="conv4", backbone_params=blocks, input_shape=(1, 8, 8), random_state=0
    )
    clf = MetaFewShotClassifier(learner.initial_prior(X), precision="float64").fit(X[40:], y[40:])
    together = clf.predict_proba(X[:30])
    alone = np.concatenate([clf.predict_proba(X[k : k + 1]) for k in range(30)])
    np.testing.assert_allclose(together, alone, rtol=1e-9)
    transductive = clf.set_params(learner_params={"transductive": True}).predict_proba(X[:30])
    assert abs(transductive - together).max() > 1e-6


def test_pipeline_grid_search_and_processes():
    X, y = load_iris(return_X_y=True)
    prior = MAML(inner_lr=0.5, random_state=0).initial_prior(PCA(3).fit_transform(X), n_classes=3)
    pipe = make_pipeline(StandardScaler(), PCA(3), MetaFewShotClassifier(prior))
    grid = {"metafewshotclassifier__learner_params": [{"n_inner_steps": n} for n in (5, 50)]}
    results = [
        GridSearchCV(pipe, grid, cv=3, n_jobs=n_jobs).fit(X, y).cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    # Processes have other numbers of threads; a row at the border of two classes may change.
    np.testing.assert_allclose(*results, atol=0.01)
    assert results[0][1] > 0.85


def test_a_grid_of_one_setting_of_the_learner():
    X, y = load_iris(return_X_y=True)
    learner = MAML(n_way=3, n_shot=2, n_query=2, n_iterations=1, validation=0, random_state=0)
    clf = MetaFewShotClassifier(learner.fit(X, y), learner_params={"inner_lr": 0.5})
    one = {"learner_params__n_inner_steps": [5, 50]}
    whole = {"learner_params": [{"inner_lr": 0.5, "n_inner_steps": n} for n in (5, 50)]}
    scores = [
        GridSearchCV(clf, grid, cv=3).fit(X, y).cv_results_["mean_test_score"]
        for grid in (one, whole)
    ]
    assert_array_equal(*scores)
    assert scores[0][0] != scores[0][1]
    assert clf.learner_params == {"inner_lr": 0.5}
    assert MetaFewShotClassifier().set_params(learner_params__a=1).learner_params == {"a": 1}
    search = MetaLearnedSearchCV(clf, one, n_iter=2, cv=3, random_state=0).fit(X, y)
    assert search.best_params_ == {"learner_params__n_inner_steps": 50}
    with pytest.raises(
        ValueError, match=r"inner_lrs=0\.1 does not apply to a prior learned by MAML"
    ):
        clf.set_params(learner_params__inner_lrs=0.1).fit(X, y)


def test_logarithms_of_probabilities():
    X, y = load_iris(return_X_y=True)
    for clf in (MetaFewShotClassifier(), MetaFewShotClassifier(iris_prior())):
        search = GridSearchCV(clf.fit(X[::5], y[::5]), {"class_weight": [None]}, cv=2).fit(X, y)
        for model in (clf, search):
            expected = np.log(model.predict_proba(X[:9]))
            assert_allclose(model.predict_log_proba(X[:9]), expected, rtol=1e-6, atol=1e-9)


def test_partial_fit_goes_on_from_the_adapted_weights():
    X, y = load_iris(return_X_y=True)
    prior = iris_prior("zeros").replace(feature_names_in=None)
    once = MetaFewShotClassifier(prior, learner_params={"n_inner_steps": 8}).fit(X, y)
    twice = MetaFewShotClassifier(prior, learner_params={"n_inner_steps": 4}).fit(X, y)
    half = twice.predict_proba(X)
    twice.partial_fit(X[:1], y[:1], sample_weight=[1e-12])
    np.testing.assert_allclose(twice.predict_proba(X), once.predict_proba(X), rtol=1e-7)
    assert abs(half - once.predict_proba(X)).max() > 1e-3
    X, y, _ = make_sinusoid_tasks(n_tasks=1, random_state=0)
    reg = MetaFewShotRegressor(drawn_prior(X)).partial_fit(X[:5], y[:5])
    before = reg.score(X, y)
    assert reg.partial_fit(X[5:], y[5:]).score(X, y) > before


def test_learned_head_knows_its_classes():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 20)
    X = rng.normal(size=(600, 3))
    y = np.where(X[:, 0] + 0.3 * rng.normal(size=30)[groups] > 0, "sick", "well")
    learner = MAML(
        n_shot=2, n_query=4, sampling="class", n_iterations=60, meta_lr=0.01, random_state=0
    ).fit(X, y, groups=groups)
    assert list(learner.prior_.classes) == ["sick", "well"]
    clf = MetaFewShotClassifier(learner.prior_, learner_params={"n_inner_steps": 0})
    # No step is taken: the meaning of the labels comes from the earlier tasks alone.
    assert clf.fit(X[:4], ["well", "sick", "well", "sick"]).score(X, y) > 0.85
    with pytest.raises(PriorError, match=r"share the classes 'sick', 'well'.*has 'dead'"):
        clf.fit(X[:2], ["dead", "well"])
    # Rows of one class are enough: the other is known from the earlier tasks.
    assert list(clf.fit(X[:3], ["well"] * 3).classes_) == ["sick", "well"]
    assert clf.score(X, y) > 0.85
    clf.partial_fit(X[3:5], ["sick", "well"])
    np.testing.assert_allclose(clf.predict_proba(X[:9]).sum(1), 1)


def test_users_module_needs_to_be_given_again(tmp_path):
    X, y = load_iris(return_X_y=True)
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU())
    prior = MAML(backbone=module, inner_lr=0.5).initial_prior(X, n_classes=3)
    clf = MetaFewShotClassifier(prior, learner_params={"n_inner_steps": 30}).fit(X, y)
    assert clf.score(X, y) > 0.8
    prior.save(tmp_path / "own.skmeta")
    bare = MetaPrior.load(tmp_path / "own.skmeta")
    with pytest.raises(PriorError, match=r"trained with a module of yours, Sequential.*module="):
        MetaFewShotClassifier(bare).fit(X, y)
    again = MetaPrior.load(tmp_path / "own.skmeta", module=module)
    np.testing.assert_allclose(
        MetaFewShotClassifier(again, learner_params={"n_inner_steps": 30})
        .fit(X, y)
        .predict_proba(X),
        clf.predict_proba(X),
        **ROUNDING,
    )
    other = MetaPrior.load(tmp_path / "own.skmeta", module=torch.nn.Linear(4, 3))
    with pytest.raises(PriorError, match=r"does not have the prior's weights: 'body.0"):
        MetaFewShotClassifier(other).fit(X, y)
    wider = torch.nn.Sequential(torch.nn.Linear(4, 7), torch.nn.BatchNorm1d(7), torch.nn.ReLU())
    other = MetaPrior.load(tmp_path / "own.skmeta", module=wider)
    with pytest.raises(PriorError, match=r"'body.0.bias' has shape \(7,\) in the backbone"):
        MetaFewShotClassifier(other).fit(X, y)


BAD_ROWS = [
    ("drawn", np.nan, "Input X contains NaN"),
    ("drawn", np.inf, "Input X contains infinity"),
    ("tabular", np.inf, "Input X contains infinity"),
]


@pytest.mark.parametrize(("prior", "value", "message"), BAD_ROWS)
def test_rows_must_be_finite(prior, value, message):
    X, y = load_iris(return_X_y=True)
    drawn = prior == "drawn"
    clf = MetaFewShotClassifier(iris_prior() if drawn else prior)
    reg = MetaFewShotRegressor(drawn_prior(X) if drawn else prior)
    X[3, 1] = value
    for estimator in (clf, reg):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y)


def test_classifier_answers_bad_labels():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="2 classes or more, but y has one class: 0"):
        MetaFewShotClassifier().fit(X[:50], y[:50])
    with pytest.raises(ValueError, match=r"y mixes values of type number and str"):
        MetaFewShotClassifier().fit(X[:3], np.array(["a", 1, "b"], dtype=object))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MetaFewShotClassifier().fit(X, y + 0.5)
    with pytest.raises(ValueError, match="needs all classes at its first call"):
        MetaFewShotClassifier().partial_fit(X, y)
    labels = y.tolist()
    for wrong, match in (("1", "y mixes values of type number and str"), (np.nan, "y has no val")):
        with pytest.raises(ValueError, match=match):
            MetaFewShotClassifier().fit(X, [wrong, *labels[1:]])
    clf = MetaFewShotClassifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"not among the classes: 7.*first call of partial_fit"):
        clf.partial_fit(X[:1], [7])
    with pytest.raises(ValueError, match=r"classes=0, 1 differ from those of the first call"):
        clf.partial_fit(X[:1], [0], classes=[0, 1])
    with pytest.raises(ValueError, match=r"sample_weight is 0 for every row|at least one non-zero"):
        clf.fit(X, y, sample_weight=np.zeros(150))


def test_rows_must_be_those_of_the_prior():
    X, y = load_iris(return_X_y=True, as_frame=True)
    clf = MetaFewShotClassifier(iris_prior())
    with pytest.raises(PriorError, match=r"3 features.*4"):
        clf.fit(X.iloc[:, :3], y)
    with pytest.raises(PriorError, match="petal width"):
        clf.fit(X.rename(columns={"petal width (cm)": "width"}), y)
    with pytest.raises(PriorError, match=r"needs a prior for regression.*Classifier"):
        MetaFewShotRegressor(iris_prior()).fit(X, y)


def test_settings_that_do_not_apply_are_refused():
    X, y = load_iris(return_X_y=True)
    prior = ProtoNet().initial_prior(X)
    with pytest.raises(ValueError, match=r"inner_lr=0\.1 does not apply .* by ProtoNet"):
        MetaFewShotClassifier(prior, learner_params={"inner_lr": 0.1}).fit(X, y)
    steps = MAML().initial_prior(X)
    with pytest.raises(ValueError, match=r"n_shot=3 does not apply .* by MAML"):
        MetaFewShotClassifier(steps, learner_params={"n_shot": 3}).fit(X, y)
    with pytest.raises(ValueError, match=r"'n_inner_steps' parameter of MAML must be an int"):
        MetaFewShotClassifier(steps, learner_params={"n_inner_steps": -1}).fit(X, y)
    with pytest.raises(ValueError, match=r"n_views=3 does not apply .* by ProtoNet"):
        MetaFewShotClassifier(prior, n_views=3).fit(X, y)
    rates = MAML(learn={"inner_lr": "tensor"})
    for learner in (MetaSGD(), LSTMMetaLearner(), rates):
        with pytest.raises(ValueError, match=r"inner_lr=0\.1 .* whose inner_lr is learned"):
            MetaFewShotClassifier(learner.initial_prior(X), learner_params={"inner_lr": 0.1}).fit(
                X, y
            )
    MetaFewShotClassifier(MAML().initial_prior(X), learner_params={"inner_lr": 0.1}).fit(X, y)
    with pytest.raises(PriorError, match=r"learned by Other, which is not among"):
        MetaFewShotClassifier(prior.replace(learner="Other")).fit(X, y)


@pytest.mark.parametrize("dtype", ["string", "str", object])
def test_a_missing_label_is_named(dtype):
    y = pd.Series(["a", "b", None, "b"], dtype=dtype)
    with pytest.raises(ValueError, match="y has no value in row 2"):
        MetaFewShotClassifier().fit(np.arange(8.0).reshape(4, 2), y)


def test_advice_for_what_a_prior_does_not_know():
    X = np.random.default_rng(0).normal(size=(40, 2))
    groups, y = np.repeat(np.arange(8), 5), X[:, 0] > 0
    learner = HierarchicalLinear(effects="intercept").fit(X, y, groups=groups)
    clf = MetaFewShotClassifier(learner)
    with pytest.raises(PriorError, match="Pass rows of these classes, or a prior"):
        clf.fit(X[:4], ["x", "y", "x", "y"])
    reg = MetaFewShotRegressor(drawn_prior(X)).fit(X[:6], X[:6, 0])
    with pytest.raises(PriorError, match=r"FineTuning, which .* of ALPaCA, .*Hierarch"):
        reg.predict(X, return_std=True)
    with pytest.raises(PriorError, match="no distribution"):
        reg.predict_quantiles(X)
    for levels in (0.5, [0.0, 0.5]):
        with pytest.raises(ValueError, match="a list of levels between 0 and 1, both excluded"):
            MetaFewShotRegressor().fit(X[:6], X[:6, 0]).predict_quantiles(X, levels)


@pytest.mark.parametrize(
    ("estimator", "wrapper"),
    [
        (MetaFewShotRegressor, "MultiOutputRegressor"),
        (MetaFewShotClassifier, "MultiOutputClassifier"),
    ],
)
def test_several_targets_name_the_wrapper(estimator, wrapper):
    X = np.random.default_rng(0).normal(size=(12, 2))
    with pytest.raises(ValueError, match=rf"shape \(12, 2\) .* in sklearn.multioutput.{wrapper}"):
        estimator().fit(X, (X > 0).astype(int))
