"""What a learner says to those who take it for an estimator, or mistype a name."""

from typing import ClassVar

import pytest
from builders import SMALL, make_classes
from sklearn.exceptions import NotFittedError

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, ALPaCA, AutoLearner, MetaNAS, ProtoNet

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")


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
    with pytest.raises(
        AttributeError,
        match=r"Use .*MetaFewShotClassifier\(learner\)\.fit\(.*\.predict_proba\(\.\.\.\)",
    ):
        _ = learner.predict_proba
    with pytest.raises(AttributeError, match="'ProtoNet' object has no attribute 'colour'"):
        _ = learner.colour
    with pytest.raises(
        AttributeError, match=r"AutoLearner has no predict: .* Call fit first, then"
    ):
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
