"""A conformance suite is worth what it catches: each fault here must fail the check named."""

from typing import ClassVar

import pytest
import torch

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import PriorWarning
from skmeta.learners import MAML, Algorithm, MetaLearner, ProtoNet
from skmeta.testing import check_learner, learner_checks


class Tempered(ProtoNet.algorithm):
    def forward(self, context, adapted, x):
        return super().forward(context, adapted, x) / self.settings.temperature


class TemperedProtoNet(ProtoNet):
    """A user's learner, in a module, so that it can be pickled."""

    temperature: float = 2.0

    algorithm = Tempered


def learner_with(algorithm):
    """Make a learner of an algorithm; one that is a learner already is left as it is."""
    if issubclass(algorithm, MetaLearner):
        return algorithm()
    base = MAML if issubclass(algorithm, MAML.algorithm) else ProtoNet
    return type(algorithm.__name__, (base,), {"algorithm": algorithm})()


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


class Untaught(ProtoNet.algorithm):
    """Its gradient has the right names and shapes, and it goes up."""

    def meta_gradient(self, context, state, task):
        gradient, metrics = super().meta_gradient(context, state, task)
        return {n: -g for n, g in gradient.items()}, metrics


def test_a_learner_that_meta_training_makes_worse_is_told_so(monkeypatch):
    class Worse(ProtoNet):
        algorithm = Untaught

    monkeypatch.setattr("skmeta.testing._checks.CHECKS", ())
    assert check_learner(ProtoNet()) == []
    with pytest.warns(PriorWarning, match=r"Worse passes .* accuracy 0\.\d+, but .+ has 0\.\d+"):
        assert check_learner(Worse()) == []


def test_check_learner_refuses_a_class():
    with pytest.raises(TypeError, match=r"the class ProtoNet\. Pass an instance, .* ProtoNet\(\)"):
        check_learner(ProtoNet)
    with pytest.raises(TypeError, match="must be a learner, such as ProtoNet"):
        check_learner(MetaFewShotClassifier())


def test_check_learner_names_the_first_failure():
    class Constant(ProtoNet.algorithm):
        def forward(self, context, adapted, x):
            return super().forward(context, adapted, x).detach()

    with pytest.raises(AssertionError, match="Constant fails meta_gradient_is_right"):
        check_learner(learner_with(Constant))


class Broken(ProtoNet.algorithm):
    def adapt(self, context, state, support, start=None):
        raise KeyError("prototypes")


class Eager(MAML.algorithm):
    def adapt(self, context, state, support, start=None):
        adapted = super().adapt(context, state, support, start)
        return {n: v * 1.001 for n, v in adapted.items()}


class Sloppy(MAML.algorithm):
    def adapt(self, context, state, support, start=None):
        adapted = super().adapt(context, state, support, start)
        # Reverse-mode sees the identity instead of the derivative of the inner step.
        return {
            n: state[n] + (v - state[n]).detach() if n.startswith("body.") else v
            for n, v in adapted.items()
        }


class Forgetful(MAML.algorithm):
    def meta_gradient(self, context, state, task):
        gradient, metrics = super().meta_gradient(context, state, task)
        gradient.pop("body.1.weight")
        return gradient, metrics


class Batched(ProtoNet.algorithm):
    def meta_gradient(self, context, state, task):
        gradient, metrics = super().meta_gradient(context, state, task)
        inside_vmap = torch._C._functorch.is_batchedtensor(task.support.x)
        scale = 1.5 if inside_vmap else 1.0
        return {n: v * scale for n, v in gradient.items()}, metrics


class Summing(ProtoNet.algorithm):
    def mean_gradient(self, context, state, tasks, execution):
        gradient, metrics = super().mean_gradient(context, state, tasks, execution)
        return {n: v * len(tasks.support.w) for n, v in gradient.items()}, metrics


class Remembering(ProtoNet.algorithm):
    scale: ClassVar[list] = [1.0]

    def meta_gradient(self, context, state, task):
        gradient, metrics = super().meta_gradient(context, state, task)
        self.scale[0] += 1.0
        return {n: v * self.scale[0] for n, v in gradient.items()}, metrics


class Ordered(ProtoNet.algorithm):
    def adapt(self, context, state, support, start=None):
        position = torch.arange(1.0, 1 + len(support.w), dtype=support.w.dtype)
        return super().adapt(context, state, support._replace(w=support.w * position))


class Transductive(ProtoNet.algorithm):
    def forward(self, context, adapted, x):
        return super().forward(context, adapted, x - x.mean(0))


class Unweighted(ProtoNet.algorithm):
    def adapt(self, context, state, support, start=None):
        return super().adapt(context, state, support._replace(w=torch.ones_like(support.w)))


class ThreeWay(ProtoNet.algorithm):
    def forward(self, context, adapted, x):
        outputs = super().forward(context, adapted, x)
        return outputs[:, :3]


class InPlace(ProtoNet.algorithm):
    def adapt(self, context, state, support, start=None):
        adapted = super().adapt(context, state, support, start)
        next(iter(state.values())).add_(0.1)
        return adapted


class Renaming(ProtoNet.algorithm):
    def forward(self, context, adapted, x):
        adapted["seen"] = x
        return super().forward(context, adapted, x)


class Keeping(ProtoNet.algorithm):
    def adapt(self, context, state, support, start=None):
        self.last_ = len(support.y)
        return super().adapt(context, state, support, start)


class Jittered(ProtoNet.algorithm):
    def forward(self, context, adapted, x):
        torch.rand(())
        return super().forward(context, adapted, x)


class Global(ProtoNet.algorithm):
    def init_state(self, context, generator):
        state = super().init_state(context, generator)
        return {n: torch.randn(v.shape) for n, v in state.items()}


class Rewriting(ProtoNet):
    def fit(self, X, y, groups=None):
        self.n_shot = 1
        return super().fit(X, y, groups)


class Idle(ProtoNet.algorithm):
    def meta_gradient(self, context, state, task):
        gradient, metrics = super().meta_gradient(context, state, task)
        return {n: torch.zeros_like(v) for n, v in gradient.items()}, metrics


class Restless(ProtoNet):
    n_calls: ClassVar[list] = []

    def score(self, X, y, groups=None):
        self.n_calls.append(1)
        return super().score(X, y, groups) / len(self.n_calls)


class Counting(ProtoNet.algorithm):
    """Its gradient depends on the number of calls, which no checkpoint knows of."""

    def meta_gradient(self, context, state, task):
        gradient, metrics = super().meta_gradient(context, state, task)
        n = vars(self).setdefault("n_calls", [0])
        n[0] += 1
        return {k: v * (-1.0) ** n[0] / n[0] for k, v in gradient.items()}, metrics


class Scaled(ProtoNet.algorithm):
    n_calls: ClassVar[list] = []

    def forward(self, context, adapted, x):
        self.n_calls.append(1)
        return super().forward(context, adapted, x) * len(self.n_calls)


@pytest.mark.parametrize(
    ("fault", "check", "match"),
    [
        (Broken, "rows_count_alike", r"KeyError\('prototypes'\)"),
        (Eager, "zero_inner_steps_give_the_initial_state", "without an inner step"),
        (Sloppy, "meta_gradient_is_right", "finite differences give"),
        (Forgetful, "meta_gradient_is_right", "the gradient has the shapes"),
        (Batched, "ways_of_execution_agree", "vmap .* differs from a loop"),
        (Summing, "ways_of_execution_agree", "differs from the mean of meta_gradient"),
        (Remembering, "methods_are_pure", "the same call gives another gradient"),
        (Ordered, "rows_count_alike", "in another order"),
        (Transductive, "rows_count_alike", "a row alone"),
        (Unweighted, "rows_count_alike", "weight 0 change predictions"),
        (ThreeWay, "number_of_classes_is_free", "instead of"),
        (InPlace, "methods_are_pure", "adapt changed the state in place"),
        (Renaming, "methods_are_pure", "forward changed what adapt returned"),
        (Keeping, "methods_are_pure", "changed the learner"),
        (Jittered, "fit_is_reproducible", "a global generator of NumPy or torch is used"),
        (Global, "fit_is_reproducible", "a second fit gives another body"),
        (Rewriting, "fit_is_reproducible", "fit changed a constructor parameter"),
        (Idle, "meta_gradient_is_right", "the gradient is zero"),
        (Restless, "fit_is_reproducible", "another value when called again"),
        (Counting, "interrupted_fit_resumes_exactly", "of a resumed fit differs"),
        (Scaled, "prior_survives_a_file", "predicts something else"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_each_fault_fails_its_check(fault, check, match):
    learner = learner_with(fault)
    check = f"{check}[{learner.algorithm.kinds[-1]}]"
    run = dict(learner_checks(learner))[check]
    with pytest.raises(AssertionError, match=match) as caught:
        run()
    assert f"{fault.__name__} fails {check}" in str(caught.value)


def test_a_method_that_is_not_written():
    class Half(Algorithm):
        def init_state(self, context, generator):
            return {}

    with pytest.raises(AssertionError, match=r"abstract methods .*adapt.*forward"):
        check_learner(learner_with(Half))
    with pytest.raises(TypeError, match="HalfLearner has no algorithm"):
        type("HalfLearner", (MetaLearner,), {})()


def test_a_method_in_the_wrong_place():
    with pytest.raises(TypeError, match=r"Wrong\.adapt is a part of the .* ProtoNet\.alg"):
        type("Wrong", (ProtoNet,), {"adapt": Broken.adapt})
