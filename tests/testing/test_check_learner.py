"""A conformance suite is worth what it catches: each fault here must fail the check named."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from skmeta import MetaFewShotClassifier
from skmeta.learners import MAML, MetaLearner, ProtoNet
from skmeta.testing import check_learner, learner_checks


@dataclass(kw_only=True, eq=False, repr=False)
class TemperedProtoNet(ProtoNet):
    """A user's learner, in a module, so that it can be pickled."""

    temperature: float = 2.0

    def forward(self, context, adapted, x):
        return super().forward(context, adapted, x) / self.temperature


def fails(learner, check, match, kind="classification"):
    run = dict(learner_checks(learner, kinds=[kind]))[f"{check}[{kind}]"]
    with pytest.raises(AssertionError, match=match) as caught:
        run()
    assert f"{type(learner).__name__} fails {check}[{kind}]" in str(caught.value)


def test_every_check_runs_for_every_kind():
    names = [name for name, _ in learner_checks(MAML())]
    assert len(names) == len(set(names))
    assert {name.split("[")[1] for name in names} == {"classification]", "regression]"}
    assert {name.split("[")[1] for name, _ in learner_checks(ProtoNet())} == {"classification]"}


def test_the_learner_given_is_not_touched():
    learner = ProtoNet(n_iterations=7)
    before = dict(vars(learner))
    dict(learner_checks(learner))["fit_is_reproducible[classification]"]()
    assert vars(learner) == before


def test_a_users_own_learner_passes():
    names = [name for name, _ in learner_checks(TemperedProtoNet())]
    assert check_learner(TemperedProtoNet()) == names


def test_check_learner_refuses_a_class():
    with pytest.raises(TypeError, match=r"the class ProtoNet\. Pass an instance, .* ProtoNet\(\)"):
        check_learner(ProtoNet)
    with pytest.raises(TypeError, match="must be a MetaLearner, such as ProtoNet"):
        check_learner(MetaFewShotClassifier())


def test_check_learner_names_the_first_failure():
    class Constant(ProtoNet):
        def forward(self, context, adapted, x):
            return super().forward(context, adapted, x).detach()

    with pytest.raises(AssertionError, match="Constant fails meta_gradient_is_right"):
        check_learner(Constant())


def test_another_error_is_reported_as_a_failed_check():
    class Broken(ProtoNet):
        def adapt(self, context, state, support, start=None):
            raise KeyError("prototypes")

    fails(Broken(), "rows_count_alike", match=r"KeyError\('prototypes'\)")


def test_a_step_that_was_not_asked_for():
    class Eager(MAML):
        def adapt(self, context, state, support, start=None):
            adapted = super().adapt(context, state, support, start)
            return {n: v * 1.001 for n, v in adapted.items()}

    fails(Eager(), "zero_inner_steps_give_the_initial_state", match="without an inner step")


def test_a_first_order_gradient_passed_off_as_second_order():
    class Sloppy(MAML):
        def adapt(self, context, state, support, start=None):
            adapted = super().adapt(context, state, support, start)
            # Reverse-mode sees the identity instead of the derivative of the inner step.
            return {
                n: state[n] + (v - state[n]).detach() if n.startswith("body.") else v
                for n, v in adapted.items()
            }

    fails(Sloppy(), "meta_gradient_is_right", match="finite differences give", kind="regression")


def test_a_gradient_that_lacks_a_tensor():
    class Forgetful(MAML):
        def meta_gradient(self, context, state, task):
            gradient, metrics = super().meta_gradient(context, state, task)
            gradient.pop("body.1.weight")
            return gradient, metrics

    fails(Forgetful(), "meta_gradient_is_right", match="the gradient has the shapes")


def test_a_result_that_depends_on_how_tasks_are_executed():
    class Batched(ProtoNet):
        def meta_gradient(self, context, state, task):
            gradient, metrics = super().meta_gradient(context, state, task)
            inside_vmap = torch._C._functorch.is_batchedtensor(task.support.x)
            scale = 1.5 if inside_vmap else 1.0
            return {n: v * scale for n, v in gradient.items()}, metrics

    fails(Batched(), "ways_of_execution_agree", match="vmap .* differs from a loop")


def test_a_mean_that_is_no_mean():
    class Summing(ProtoNet):
        def mean_gradient(self, context, state, tasks, execution):
            gradient, metrics = super().mean_gradient(context, state, tasks, execution)
            return {n: v * len(tasks.support.w) for n, v in gradient.items()}, metrics

    fails(Summing(), "ways_of_execution_agree", match="differs from the mean of meta_gradient")


def test_memory_of_earlier_tasks():
    class Remembering(ProtoNet):
        scale: ClassVar[list] = [1.0]

        def meta_gradient(self, context, state, task):
            gradient, metrics = super().meta_gradient(context, state, task)
            self.scale[0] += 1.0
            return {n: v * self.scale[0] for n, v in gradient.items()}, metrics

    fails(Remembering(), "methods_are_pure", match="the same call gives another gradient")


def test_support_rows_taken_in_order():
    class Ordered(ProtoNet):
        def adapt(self, context, state, support, start=None):
            position = torch.arange(1.0, 1 + len(support.w), dtype=support.w.dtype)
            return super().adapt(context, state, support._replace(w=support.w * position))

    fails(Ordered(), "rows_count_alike", match="in another order")


def test_a_prediction_that_sees_other_query_rows():
    class Transductive(ProtoNet):
        def forward(self, context, adapted, x):
            return super().forward(context, adapted, x - x.mean(0))

    fails(Transductive(), "rows_count_alike", match="a row alone")


def test_weights_that_are_ignored():
    class Unweighted(ProtoNet):
        def adapt(self, context, state, support, start=None):
            return super().adapt(context, state, support._replace(w=torch.ones_like(support.w)))

    fails(Unweighted(), "rows_count_alike", match="weight 0 change predictions")


def test_a_fixed_number_of_classes():
    class ThreeWay(ProtoNet):
        def forward(self, context, adapted, x):
            outputs = super().forward(context, adapted, x)
            return outputs[:, :3]

    fails(ThreeWay(), "number_of_classes_is_free", match="instead of")


def test_a_state_changed_in_place():
    class InPlace(ProtoNet):
        def adapt(self, context, state, support, start=None):
            adapted = super().adapt(context, state, support, start)
            next(iter(state.values())).add_(0.1)
            return adapted

    class Renaming(ProtoNet):
        def forward(self, context, adapted, x):
            adapted["seen"] = x
            return super().forward(context, adapted, x)

    fails(InPlace(), "methods_are_pure", match="adapt changed the state in place")
    fails(Renaming(), "methods_are_pure", match="forward changed what adapt returned")


def test_a_state_kept_on_the_learner():
    class Keeping(ProtoNet):
        def adapt(self, context, state, support, start=None):
            self.last_ = len(support.y)
            return super().adapt(context, state, support, start)

    fails(Keeping(), "methods_are_pure", match="changed the learner")


def test_a_score_that_draws_from_a_global_generator():
    class Jittered(ProtoNet):
        def forward(self, context, adapted, x):
            torch.rand(())
            return super().forward(context, adapted, x)

    fails(Jittered(), "fit_is_reproducible", match="a global generator of NumPy or torch is used")


def test_weights_drawn_from_a_global_generator():
    class Global(ProtoNet):
        def init_state(self, context, generator):
            state = super().init_state(context, generator)
            return {n: torch.randn(v.shape) for n, v in state.items()}

    fails(Global(), "fit_is_reproducible", match="a second fit gives another body")


def test_a_fit_that_rewrites_a_parameter():
    class Rewriting(ProtoNet):
        def fit(self, X, y, groups=None):
            self.n_shot = 1
            return super().fit(X, y, groups)

    fails(
        Rewriting(),
        "fit_changes_the_state_and_keeps_the_parameters",
        match="fit changed a constructor parameter",
    )


def test_a_fit_that_does_not_learn():
    class Idle(ProtoNet):
        def meta_gradient(self, context, state, task):
            gradient, metrics = super().meta_gradient(context, state, task)
            return {n: torch.zeros_like(v) for n, v in gradient.items()}, metrics

    fails(
        Idle(),
        "fit_changes_the_state_and_keeps_the_parameters",
        match="the number of iterations has no effect",
    )


def test_a_score_that_is_not_repeatable():
    class Restless(ProtoNet):
        n_calls: ClassVar[list] = []

        def score(self, X, y, groups=None):
            self.n_calls.append(1)
            return super().score(X, y, groups) / len(self.n_calls)

    fails(Restless(), "fit_is_reproducible", match="another value when called again")


def test_a_resumed_run_that_has_lost_its_memory():
    class Counting(ProtoNet):
        """Its gradient depends on the number of calls, which no checkpoint knows of."""

        def meta_gradient(self, context, state, task):
            gradient, metrics = super().meta_gradient(context, state, task)
            n = vars(self).setdefault("n_calls", [0])
            n[0] += 1
            return {k: v * (-1.0) ** n[0] / n[0] for k, v in gradient.items()}, metrics

    fails(Counting(), "interrupted_fit_resumes_exactly", match="of a resumed fit differs")


def test_a_setting_that_the_prior_does_not_keep():
    @dataclass(kw_only=True, eq=False, repr=False)
    class Scaled(ProtoNet):
        n_calls: ClassVar[list] = []

        def forward(self, context, adapted, x):
            self.n_calls.append(1)
            return super().forward(context, adapted, x) * len(self.n_calls)

    fails(Scaled(), "prior_survives_a_file", match="predicts something else")


def test_a_method_that_is_not_written():
    class Half(MetaLearner):
        def init_state(self, context, generator):
            return {}

    with pytest.raises(TypeError, match="abstract"):
        check_learner(Half())
