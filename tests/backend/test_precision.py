"""Networks in bfloat16: close to float32, with weights and statistics in float32."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skmeta.learners import MAML, ExecutionOptions, InContextLearner, ProtoNet, Validation


@pytest.mark.parametrize("learner_class", [MAML, ProtoNet])
def test_a_learner_trains_in_bfloat16(learner_class):
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8) / 16
    scores = {}
    for precision in ("float32", "bfloat16"):
        learner = learner_class(
            backbone="conv4", backbone_params={"n_channels": 8, "n_blocks": 2},
            n_way=2, n_shot=2, n_query=5, n_iterations=15, device="cpu",
            validation=Validation(0.2, n_tasks=20, every=15),
            execution=ExecutionOptions(precision=precision),
            random_state=0,
        ).fit(images, y)  # fmt: skip
        assert learner.prior_.tensors["body.0.weight"].dtype == np.dtype("float32")
        scores[precision] = learner.learning_curve_["validation_score"][-1]
    assert scores["bfloat16"] == pytest.approx(scores["float32"], abs=0.1)


def test_learners_in_closed_form_and_of_tables_have_no_bfloat16():
    learner = InContextLearner(execution=ExecutionOptions(precision="bfloat16"))
    with pytest.raises(ValueError, match=r"float32 or float64, but .* precision='bfloat16'"):
        learner.fit(np.zeros((4, 2)), [0, 1, 0, 1])
