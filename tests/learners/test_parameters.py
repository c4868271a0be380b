"""The parameters of learners: what they are, and how options group those for experts."""

import re

import pytest
from sklearn.base import clone

from skmeta._training import fingerprint
from skmeta.learners import (
    LEARNERS,
    MAML,
    ExecutionOptions,
    ProtoNet,
    Validation,
)

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


def test_a_class_of_the_same_name_does_not_take_the_place_of_ours():
    own = type("MAML", (ProtoNet,), {"__module__": "elsewhere"})
    try:
        assert LEARNERS["MAML"] is MAML
        assert LEARNERS["elsewhere.MAML"] is own
    finally:
        del LEARNERS["elsewhere.MAML"]


def defined(source):
    """What a piece of source defines, each time as another object."""
    space = {"__name__": "own"}
    exec(source, space)
    return space["made"]


LSTM = "import torch\nmade = torch.nn.LSTM(3, {})"
OBJECT = "class Noise{}:\n    def __call__(self, x): return x\nmade = Noise{}()"


@pytest.mark.parametrize("source", ["def f{}(x): return x\nmade = f{}", OBJECT, LSTM])
@pytest.mark.parametrize("name", ["augment", "superclass", "backbone"])
def test_a_checkpoint_knows_a_callable_by_its_name(name, source):
    """What its code does is the user's affair; a module is known by its layers."""

    def identity(number):
        value = {name: defined(source.replace("{}", str(number)))}
        return fingerprint(MAML(random_state=0).set_params(**value))

    assert identity(1) == identity(1)
    assert identity(1) != identity(2)


def test_a_setting_of_an_option_that_is_given_by_its_first():
    learner = MAML(validation=0.2, execution="loop")
    learner.set_params(validation__patience=3, execution__n_jobs=2, inner_lr=0.3)
    assert learner.validation == Validation(0.2, patience=3)
    assert learner.execution == ExecutionOptions("loop", n_jobs=2)
    assert learner.inner_lr == 0.3


def test_a_mistyped_parameter():
    with pytest.raises(
        TypeError, match=r"^MAML has no parameter 'inner_rl'\. Did you mean 'inner_lr'"
    ):
        MAML(inner_rl=0.1)
    with pytest.raises(
        TypeError, match=r"^Validation has no parameter 'size'\. It has every, frac"
    ):
        Validation(size=3)
