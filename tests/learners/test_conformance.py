"""Every learner passes the published suite."""

import pytest

from skmeta import learners
from skmeta.testing import learner_checks

CASES = {
    "MAML": learners.MAML(),
    "MAML-first_order": learners.MAML(first_order=True),
    "MAML-zeros": learners.MAML(head_init="zeros", n_inner_steps=2),
    "MAML-prototype": learners.MAML(head_init="prototype"),
    "MAML-learned": learners.MAML(head_init="learned"),
    "ANIL": learners.ANIL(n_inner_steps=2),
    "MAML-options": learners.MAML(
        multi_step_loss=0.8,
        per_step_norm=True,
        learn={"inner_lr": "tensor and step", "weight_decay": "scalar"},
        n_inner_steps=2,
    ),
    "MetaSGD": learners.MetaSGD(),
    "MetaSGD-prototype": learners.MetaSGD(head_init="prototype"),
    "Reptile": learners.Reptile(),
    "ProtoNet": learners.ProtoNet(),
    "InContextLearner": learners.InContextLearner(width=8, n_layers=1),
    "HierarchicalLinear": learners.HierarchicalLinear(),
    "ALPaCA": learners.ALPaCA(),
    "FineTuning": learners.FineTuning(head_init="learned"),
    "LSTMMetaLearner": learners.LSTMMetaLearner(),
    "LearnedOptimizer": learners.LearnedOptimizer(),
    "LearnedOptimizer-support": learners.LearnedOptimizer(objective="support"),
    "LSTMMetaLearner-second_order": learners.LSTMMetaLearner(first_order=False, head_init="shared"),
    "MetaNAS": learners.MetaNAS(),
    "MetaNAS-second_order": learners.MetaNAS(first_order=False),
    # Its gradient is a straight-through estimate, which finite differences do not give.
    "MetaNAS-budget": learners.MetaNAS(max_parameters=100),
}
FITS = ("fit_is_reproducible", "interrupted_fit_resumes_exactly")


def is_slow(case, name):
    """Variants have a dash, and ALPaCA is one. All share the outer loop of MAML."""
    return "-" in case or case == "ALPaCA" or (case != "MAML" and name.startswith(FITS))


CHECKS = [
    pytest.param(
        check, id=f"{case}-{name}", marks=[pytest.mark.slow] if is_slow(case, name) else []
    )
    for case, learner in CASES.items()
    for name, check in learner_checks(learner)
]


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check):
    check()


def test_no_learner_is_left_out():
    tested = {type(learner).__name__ for learner in CASES.values()}
    bases = {"GradientLearner", "InitialWeightsLearner", "InnerLoopLearner"}
    ours = {n for n, cls in learners.LEARNERS.items() if cls.__module__.startswith("skmeta.")}
    assert tested == ours - bases
