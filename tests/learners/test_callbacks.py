"""scikit-learn's callbacks on learners."""

import numpy as np
import pytest
from builders import SMALL, make_classes

from skmeta.datasets import make_sinusoid_tasks
from skmeta.grouped import GroupedRegressor
from skmeta.learners import MAML, MetaOptimizer, ProtoNet, Validation

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")


class Recorder:
    """Notes each task as it begins and ends; asks for an end at the iteration ``stop``."""

    def __init__(self, stop=None):
        self.stop = stop
        self.begun, self.ended, self.fitted = [], [], {}
        self.n_setups = self.n_teardowns = 0

    def setup(self, estimator, context):
        self.n_setups += 1

    def teardown(self, estimator, context):
        self.n_teardowns += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.estimator_name, context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.ended.append((context.estimator_name, context.task_name, context.task_id))
        if fitted_estimator is not None:
            self.fitted[context.task_name, context.task_id] = fitted_estimator
        return context.task_name == "meta-iteration" and context.task_id + 1 == self.stop


def small_maml(**settings):
    own = {"n_iterations": 7, "validation": Validation(0.2, n_tasks=4, every=3), "n_query": 3}
    return MAML(**SMALL | own | {"backbone_params": {"hidden": (4,)}} | settings)


@pytest.fixture(scope="module")
def sinusoids():
    return make_sinusoid_tasks(n_tasks=20, n_samples=8, random_state=0)


def test_each_iteration_is_a_task(sinusoids):
    seen = Recorder()
    small_maml().set_callbacks(seen).fit(*sinusoids)
    iterations = [("MAML", "meta-iteration", k) for k in range(7)]
    assert seen.begun == [("MAML", "fit", 0), *iterations]
    assert seen.ended == [*iterations, ("MAML", "fit", 0)]
    assert seen.n_setups == seen.n_teardowns == 1


def test_what_is_fitted_so_far_comes_with_each_evaluation(sinusoids):
    seen = Recorder()
    constant = {"meta_optimizer": MetaOptimizer(schedule="constant")}
    learner = small_maml(**constant).set_callbacks(seen).fit(*sinusoids)
    evaluated = [("meta-iteration", k) for k in (2, 5, 6)]
    assert list(seen.fitted) == [*evaluated, ("fit", 0)]
    # As if the fit had ended there.
    first = seen.fitted["meta-iteration", 2]
    assert first.learning_curve_["iteration"] == [3]
    expected = small_maml(n_iterations=3, **constant).fit(*sinusoids)
    for name, tensor in expected.prior_.tensors.items():
        np.testing.assert_array_equal(first.prior_.tensors[name], tensor)
    assert seen.fitted["fit", 0].prior_.digest == learner.prior_.digest


@pytest.mark.parametrize("stop", [3, 4])
def test_a_callback_ends_the_fit(sinusoids, stop):
    learner = small_maml().set_callbacks(Recorder(stop)).fit(*sinusoids)
    # The last iteration is evaluated, whether or not it was due.
    assert learner.learning_curve_["iteration"] == [3, stop][: 1 + (stop > 3)]


def test_scores_of_scikit_learns_monitor():
    X, y = make_classes(n_classes=8, spread=3.0)
    monitor = callback.ScoringMonitor(scoring=lambda *given: {"score": given[0].score(*given[1:])})
    learner = ProtoNet(
        n_way=2, n_shot=1, n_query=2, n_iterations=2, validation=0, random_state=0
    ).set_callbacks(monitor)
    learner.fit(X, y)
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows] == ["fit", "meta-iteration"]
    with pytest.warns(UserWarning, match="meta-training"):
        assert rows[0]["score"] == learner.score(X, y)


def test_teardown_follows_an_error(sinusoids):
    seen = Recorder()
    X, y, groups = sinusoids
    with pytest.raises(ValueError, match="159 values for 160 rows"):
        small_maml().set_callbacks(seen).fit(X, y[:-1], groups)
    learner = small_maml(inner_lr=1e30).set_callbacks(seen)
    with pytest.raises(FloatingPointError, match="Lower meta_lr"):
        learner.fit(*sinusoids)
    assert seen.n_setups == seen.n_teardowns == 1  # that of the second fit
    assert len(seen.begun) == len(seen.ended)


def test_the_fit_of_a_grouped_table_is_a_task():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 4)
    X = np.column_stack([rng.normal(size=48), groups])
    seen = Recorder()
    model = GroupedRegressor(groups=1, model="mixture").set_callbacks(seen)
    model.fit(X, X[:, 0] + rng.normal(size=12)[groups])
    assert seen.begun == seen.ended == [("GroupedRegressor", "fit", 0)]
    assert (seen.n_setups, seen.n_teardowns) == (1, 1)
