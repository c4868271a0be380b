"""Tasks whose classes are of one superclass."""

import numpy as np
import pytest

from skmeta.exceptions import EpisodeError
from skmeta.learners import ProtoNet, Validation
from skmeta.tasks import ClassEpisodes

# Superclass "a" has 4 classes, "b" 3, "c" 2.
NAMES = ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "c0", "c1"]
Y = np.repeat(NAMES, 5)


def first_letter(name):
    return name[0]


@pytest.mark.parametrize("superclass", [first_letter, {name: name[0] for name in NAMES}])
def test_classes_of_a_task_are_of_one_superclass(superclass):
    sampler = ClassEpisodes(Y, 3, 1, 2, superclass=superclass)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(700):
        task = sampler.sample(rng)
        (letter,) = {name[0] for name in task.classes}
        drawn.append(letter)
        assert len(set(task.classes)) == 3
        assert (Y[task.query] == task.classes[task.y_query]).all()
    # In proportion to their classes; "c" has too few.
    assert set(drawn) == {"a", "b"}
    assert drawn.count("a") / 700 == pytest.approx(4 / 7, abs=0.06)


def test_errors_name_what_is_missing():
    with pytest.raises(EpisodeError, match="no entry for 'c0', 'c1'"):
        ClassEpisodes(Y, 2, 1, 2, superclass={name: name[0] for name in NAMES[:-2]})
    with pytest.raises(EpisodeError, match="largest superclass, 'a', has 4 classes, but n_way=5"):
        ClassEpisodes(Y, 5, 1, 2, superclass=first_letter)


def test_a_learner_sets_whole_superclasses_aside_and_scores_within_them():
    y = np.repeat([f"{letter}{k}" for letter in "abcdefghij" for k in range(3)], 6)
    X = np.random.default_rng(0).normal(size=(len(y), 4))
    learner = ProtoNet(
        n_way=3, n_shot=1, n_query=2, n_iterations=2, validation=Validation(0.2, n_tasks=3),
        superclass=first_letter, random_state=0,
    ).fit(X, y)  # fmt: skip
    trained = {name[0] for name in learner.prior_.trained_on}
    assert len(trained) == 8
    assert len(learner.prior_.trained_on) == 24
    unseen = [name[0] not in trained for name in y]
    assert 0 <= learner.set_params(n_way=3).score(X[unseen], y[unseen]) <= 1
    with pytest.raises(EpisodeError, match="groups was passed"):
        learner.fit(X, y, groups=y)
