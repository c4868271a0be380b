"""Parameters of learners: their names and options, scikit-learn's checks, steps and shots."""

import inspect
import pickle
import re

import numpy as np
import pytest
from builders import make_intercepts
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils import estimator_checks

from skmeta._training import fingerprint
from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import EpisodeError
from skmeta.learners import (
    ANIL,
    LEARNERS,
    MAML,
    ExecutionOptions,
    HierarchicalLinear,
    LearnedOptimizer,
    MetaNAS,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)
from skmeta.learners._core import read_settings

OURS = {n: cls for n, cls in LEARNERS.items() if cls.__module__.startswith("skmeta.")}


@pytest.mark.parametrize("name", OURS)
def test_the_docstring_lists_each_parameter(name):
    cls = OURS[name]
    rest = cls.__doc__.partition("Parameters\n------")[2]
    documented = re.findall(r"^(\w+) : ", rest.partition("Attributes\n-----")[0], re.MULTILINE)
    assert sorted(documented) == sorted(cls._get_param_names())


def test_options_are_tuned_and_cloned_as_parameters_are():
    learner = MAML(validation=Validation(0.2, patience=3))
    cloned = clone(learner).set_params(validation__patience=5)
    assert cloned.validation == Validation(0.2, patience=5)
    assert learner.validation.patience == 3
    assert MAML().get_params()["validation"] == 0.1


def test_meta_training_may_end_after_half_without_improvement():
    validation = Validation(0.2, every=10)
    patience = {
        (cls, n): read_settings(cls(n_iterations=n, validation=validation)).validation.patience
        for cls in (MAML, ProtoNet, MetaNAS, LearnedOptimizer)
        for n in (80, 1000)
    }
    assert [patience[MAML, n] for n in (80, 1000)] == [5, 50]
    assert [patience[ProtoNet, n] for n in (80, 1000)] == [5, 50]
    assert {patience[cls, 1000] for cls in (MetaNAS, LearnedOptimizer)} == {None}
    assert validation.patience == "auto"


def test_anil_learns_its_step_sizes_unless_told_not_to():
    X, y, groups = make_sinusoid_tasks(30, 20, random_state=0)
    settings = {"n_iterations": 3, "validation": 0, "random_state": 0}

    def learned(learner):
        tensors = learner.fit(X, y, groups=groups).prior_.tensors
        return {n: float(v[0]) for n, v in tensors.items() if n.startswith("inner_lr")}

    rates = learned(ANIL(**settings))
    assert sorted(rates) == ["inner_lr.head.bias", "inner_lr.head.weight"]
    assert all(abs(rate - 0.1) > 1e-4 for rate in rates.values())
    assert not learned(ANIL(**settings, learn={}))
    assert ANIL.as_published("omniglot").learn == {}


def test_a_class_of_the_same_name_does_not_take_the_place_of_ours():
    own = type("MAML", (ProtoNet,), {"__module__": "elsewhere"})
    try:
        assert LEARNERS["MAML"] is MAML
        assert LEARNERS["elsewhere.MAML"] is own
    finally:
        del LEARNERS["elsewhere.MAML"]


LSTM = "import torch\nmade = torch.nn.LSTM(3, {})"
OBJECT = "class Noise{}:\n    def __call__(self, x): return x\nmade = Noise{}()"


@pytest.mark.parametrize("source", ["def f{}(x): return x\nmade = f{}", OBJECT, LSTM])
@pytest.mark.parametrize("name", ["augment", "superclass", "backbone"])
def test_a_checkpoint_knows_a_callable_by_its_name(name, source):
    """What its code does is the user's affair; a module is known by its layers."""

    def identity(number):
        space = {"__name__": "own"}
        exec(source.replace("{}", str(number)), space)  # It defines another object each time.
        return fingerprint(MAML(random_state=0).set_params(**{name: space["made"]}))

    assert identity(1) == identity(1)
    assert identity(1) != identity(2)


def test_a_setting_of_an_option_that_is_given_by_its_first():
    learner = MAML(validation=0.2, execution="loop")
    learner.set_params(validation__patience=3, execution__n_jobs=2, inner_lr=0.3)
    assert learner.validation == Validation(0.2, patience=3)
    assert learner.execution == ExecutionOptions("loop", n_jobs=2)
    assert learner.inner_lr == 0.3


def test_a_mistyped_parameter():
    with pytest.raises(TypeError, match=r"^MAML has no parameter 'inner_rl'\. .* mean 'inner_lr'"):
        MAML(inner_rl=0.1)
    with pytest.raises(TypeError, match=r"^Validation has no parameter 'size'\. It has every, f"):
        Validation(size=3)


QUICK = {"n_iterations": 4, "validation": 0, "random_state": 0, "meta_batch_size": 2}


@pytest.fixture(scope="module")
def tasks():
    return make_sinusoid_tasks(12, 20, random_state=0)


@pytest.mark.parametrize("learner", [MAML, ANIL, MetaSGD, Reptile])
def test_meta_training_takes_steps_of_its_own_number(learner, tasks):
    X, y, groups = tasks
    few = learner(n_inner_steps=2, **QUICK).fit(X, y, groups=groups)
    more = learner(n_train_steps=2, n_inner_steps=4, **QUICK).fit(X, y, groups=groups)
    for name, value in few.prior_.tensors.items():
        np.testing.assert_array_equal(more.prior_.tensors[name], value)
    assert more.prior_.learner_params["n_inner_steps"] == 4


def test_scores_after_other_numbers_of_steps(tasks):
    X, y, groups = tasks
    learner = MAML(n_inner_steps=3, **QUICK).fit(X, y, groups=groups)
    new = make_sinusoid_tasks(12, 20, random_state=1)
    new = (*new[:2], new[2] + 100)
    as_fitted = learner.score_tasks(*new, n_tasks=5)
    np.testing.assert_array_equal(learner.score_tasks(*new, n_tasks=5, n_inner_steps=3), as_fitted)
    none = learner.score_tasks(*new, n_tasks=5, n_inner_steps=0)
    learner.set_params(n_inner_steps=0)
    np.testing.assert_array_equal(learner.score_tasks(*new, n_tasks=5), none)
    assert np.abs(none - as_fitted).max() > 0
    with pytest.raises(ValueError, match="n_inner_steps must be"):
        learner.score_tasks(*new, n_inner_steps=-1)


def test_a_learner_without_steps_says_so():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.repeat(np.arange(6), 20)
    learner = ProtoNet(n_way=2, **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="ProtoNet adapts without gradient steps"):
        learner.score_tasks(X + 1, y + 10, n_inner_steps=3)


def test_published_settings():
    maml = MAML.as_published("omniglot", n_iterations=7)
    assert (maml.head_init, maml.inner_lr, maml.n_iterations) == ("learned", 0.4, 7)
    assert maml.meta_optimizer.clip_norm is None
    assert maml.meta_optimizer.resolve_schedule() == "constant"
    reptile = Reptile.as_published("omniglot", n_shot=5, n_query=5)
    assert reptile.inner_optimizer == "adam"
    assert (reptile.n_train_steps, reptile.n_inner_steps) == (5, 50)
    assert reptile.n_shot + reptile.n_query == 10
    assert reptile.meta_optimizer.resolve_schedule() == "linear"
    with pytest.raises(ValueError, match="data must be 'omniglot' for Reptile, got 'letters'"):
        Reptile.as_published("letters")
    with pytest.raises(ValueError, match="MetaSGD has no published settings here"):
        MetaSGD.as_published("omniglot")


def test_published_maml_has_one_learned_row_per_class():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.repeat(np.arange(6), 20)
    learner = MAML.as_published(
        "omniglot", backbone="mlp", n_way=3, n_iterations=2, meta_batch_size=2, random_state=0
    ).fit(X, y)
    assert learner.prior_.tensors["head.weight"].shape[0] == 3


def test_tasks_of_an_iteration_depend_on_the_network():
    assert read_settings(MAML()).meta_batch_size == 25
    assert read_settings(MAML(backbone="conv4")).meta_batch_size == 4
    assert read_settings(MAML(meta_batch_size=3)).meta_batch_size == 3


@pytest.mark.parametrize("learner", [MAML, MetaSGD, Reptile])
def test_parameters_of_the_algorithm_come_first(learner):
    names = list(inspect.signature(learner).parameters)
    assert names[:2] == ["inner_lr", "n_inner_steps"]
    assert names.index("n_train_steps") < names.index("backbone") < names.index("n_iterations")
    documented = [line.split(" : ")[0] for line in learner.__doc__.splitlines() if " : " in line]
    assert [n for n in documented if n in names] == names


SHOTS = {"backbone_params": {"hidden": (8,)}, "n_query": 6, "n_iterations": 20}
SHOTS |= {"meta_batch_size": 2, "validation": Validation(n_tasks=4), "random_state": 0}


def make_groups():
    X, y, groups = make_intercepts(12, between=0.3)
    return X, (y > 0).astype(int), groups


def test_shots_of_groups_count_rows_in_all():
    X, y, groups = make_groups()
    new = MAML(**SHOTS, n_shot=3).fit(X, y, groups)
    same = MAML(**SHOTS, n_shot=3, sampling="task").fit(X, y, groups)
    as_range = MAML(**SHOTS, n_shot=(3, 3)).fit(X, y, groups)
    of_class = MAML(**SHOTS, n_shot=3, sampling="class").fit(X, y, groups)
    weights = [f.prior_.tensors["head.weight"] for f in (new, same, as_range, of_class)]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], weights[3])


def test_protonet_has_rows_of_each_class():
    X, y, groups = make_groups()
    prototypes = [
        MAML(**SHOTS, head_init="prototype", n_shot=2, **how).fit(X, y, groups).prior_.digest
        for how in ({}, {"sampling": "class"})
    ]
    assert prototypes[0] == prototypes[1]
    ProtoNet(**SHOTS, n_shot=2).fit(X, y, groups)  # Warnings are errors.
    with pytest.raises(EpisodeError, match="this learner needs rows of each class"):
        ProtoNet(**SHOTS, sampling="task").fit(X, y, groups)
    with pytest.raises(EpisodeError, match="tasks are drawn from classes"):
        MAML(**SHOTS, sampling="task").fit(X, groups)


@pytest.mark.parametrize(
    "y",
    [np.arange(144) % 30, 1 + np.arange(144) % 5, 10.0 * (np.arange(144) % 3)],
    ids=["counts", "ratings", "steps"],
)
def test_whole_numbers_are_asked_about(y):
    X, _, groups = make_groups()
    for learner in (MAML(**SHOTS), HierarchicalLinear()):
        with pytest.raises(EpisodeError, match=r"different whole numbers .* Set target_type='cl"):
            learner.fit(X, y, groups)
    told = HierarchicalLinear(target_type="regression").fit(X, y, groups)
    assert told.prior_.kind == "regression"


@pytest.mark.parametrize(
    "y",
    [np.arange(144) % 4, np.array([-1, 1])[np.arange(144) % 2], np.arange(144) % 2 > 0],
    ids=["codes", "two values", "booleans"],
)
def test_codes_of_classes_are_not_asked_about(y):
    X, _, groups = make_groups()
    assert HierarchicalLinear().fit(X, y, groups).prior_.kind == "classification"


# Those of scikit-learn's checks that draw no data, for a fit of a learner needs tasks.
CHECKS = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimators_unfitted,
    estimator_checks.check_mixin_order,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", OURS)
def test_scikit_learn_check(name, check):
    check(name, OURS[name]())


@pytest.mark.parametrize("name", OURS)
def test_every_parameter_has_a_constraint(name):
    parameters = set(inspect.signature(OURS[name].__init__).parameters) - {"self"}
    assert parameters == set(OURS[name]._parameter_constraints)


@pytest.fixture
def routed():
    with config_context(enable_metadata_routing=True):
        learner = MetaSGD(
            backbone_params={"hidden": (5,)}, n_shot=4, n_query=4, n_iterations=2, device="cpu",
            meta_batch_size=2, validation=Validation(n_tasks=2), random_state=0,
        )  # fmt: skip
        yield learner.set_fit_request(groups=True).set_score_request(groups=True)


def test_cross_validation_over_groups(routed):
    X, y, groups = make_intercepts(12, 8)
    scores = cross_val_score(routed, X, y, cv=GroupKFold(3), params={"groups": groups})
    train, test = next(GroupKFold(3).split(X, y, groups))
    fitted = clone(routed).fit(X[train], y[train], groups[train])
    assert scores[0] == pytest.approx(fitted.score(X[test], y[test], groups[test]))


def test_grid_search_over_groups(routed):
    X, y, groups = make_intercepts(12, 8)
    grid = {"inner_lr": [0.01, 0.1], "n_inner_steps": [0, 1]}
    search = GridSearchCV(routed, grid, cv=GroupKFold(3), error_score="raise")
    search.fit(X, y, groups=groups)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    prior = search.best_estimator_.prior_
    assert prior.learner_params["inner_lr"] == search.best_params_["inner_lr"]
    assert pickle.loads(pickle.dumps(search)).best_estimator_.prior_ == prior
