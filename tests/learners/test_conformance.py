"""Every learner passes the published suite."""

import pytest

from skmeta.learners import (
    ANIL,
    LEARNERS,
    MAML,
    ALPaCA,
    FineTuning,
    HierarchicalLinear,
    InContextLearner,
    LearnedOptimizer,
    LSTMMetaLearner,
    MetaNAS,
    MetaSGD,
    ProtoNet,
    Reptile,
)
from skmeta.testing import learner_checks

CASES = {
    "MAML": MAML(),
    "MAML-first_order": MAML(first_order=True),
    "MAML-zeros": MAML(head_init="zeros", n_inner_steps=2),
    "MAML-prototype": MAML(head_init="prototype"),
    "MAML-learned": MAML(head_init="learned"),
    "ANIL": ANIL(n_inner_steps=2),
    "MAML-options": MAML(
        multi_step_loss=0.8,
        per_step_norm=True,
        learn={"inner_lr": "tensor and step", "weight_decay": "scalar"},
        n_inner_steps=2,
    ),
    "MetaSGD": MetaSGD(),
    "MetaSGD-prototype": MetaSGD(head_init="prototype"),
    "Reptile": Reptile(),
    "ProtoNet": ProtoNet(),
    "InContextLearner": InContextLearner(width=8, n_layers=1),
    "HierarchicalLinear": HierarchicalLinear(),
    "ALPaCA": ALPaCA(),
    "FineTuning": FineTuning(head_init="learned"),
    "LSTMMetaLearner": LSTMMetaLearner(),
    "LearnedOptimizer": LearnedOptimizer(),
    "LearnedOptimizer-support": LearnedOptimizer(objective="support"),
    "LSTMMetaLearner-second_order": LSTMMetaLearner(first_order=False, head_init="shared"),
    "MetaNAS": MetaNAS(),
    "MetaNAS-second_order": MetaNAS(first_order=False),
    # Its gradient is a straight-through estimate, which finite differences do not give.
    "MetaNAS-budget": MetaNAS(max_parameters=100),
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
    ours = {n for n, cls in LEARNERS.items() if cls.__module__.startswith("skmeta.")}
    assert tested == ours - bases
