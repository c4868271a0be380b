"""AutoLearner: seeds, checkpoints and the end of the time."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from test_auto_learner import SMALL_MAML, make_intercepts

from skmeta.exceptions import BaselineWarning, CheckpointError
from skmeta.learners import MAML, AutoLearner, HierarchicalLinear, ProtoNet
from skmeta.learners.auto._candidates import default_candidates
from skmeta.learners.auto._race import Race
from skmeta.learners.auto._store import Clock
from skmeta.learners.auto._tasks import design_classes, design_groups


def make_auto(**params):
    learners = [HierarchicalLinear(), SMALL_MAML]
    return AutoLearner(**{"candidates": learners, "n_shot": 5, "random_state": 0} | params)


def board_of(auto):
    return auto.leaderboard_.drop(columns="seconds")


def test_the_same_seed_gives_the_same_result():
    found, again = (make_auto().fit(*make_intercepts()) for _ in range(2))
    assert again.prior_ == found.prior_
    assert board_of(again).equals(board_of(found))
    other = make_auto(random_state=1).fit(*make_intercepts())
    assert not board_of(other).equals(board_of(found))


@pytest.mark.parametrize("n_runs", [0, 2, 5])
def test_an_interrupted_fit_resumes(n_runs, tmp_path, monkeypatch):
    expected = make_auto().fit(*make_intercepts())
    auto, train, calls = make_auto(checkpoint=tmp_path / "race"), Race._train, []

    def interrupted(self, *args):
        if len(calls) == n_runs:
            raise KeyboardInterrupt
        calls.append(args)
        return train(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Race, "_train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            auto.fit(*make_intercepts())

    def counted(self, *args):
        calls.append(args)
        return train(self, *args)

    monkeypatch.setattr(Race, "_train", counted)
    auto.fit(*make_intercepts())
    assert len(calls) == len(expected.history_["learner"]), "a run that was done is done again"
    assert auto.prior_ == expected.prior_
    assert auto.summary_ == expected.summary_
    assert board_of(auto).equals(board_of(expected))


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    path = tmp_path / "race"
    X, y, groups = make_intercepts()
    auto = AutoLearner(candidates=[HierarchicalLinear()], checkpoint=path, random_state=0)
    auto.fit(X, y, groups)
    clone(auto).set_params(time_budget=10, verbose=0).fit(X, y, groups)
    for changed in ((X + 1, y, groups), (X, -y, groups), (X, y, groups[::-1].copy())):
        with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
            clone(auto).fit(*changed)
    with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
        clone(auto).set_params(n_shot=4).fit(X, y, groups)


def test_learners_that_have_no_time_are_named(monkeypatch):
    monkeypatch.setattr(Clock, "left", lambda self: 0.0)
    three = [HierarchicalLinear(), *(clone(SMALL_MAML) for _ in range(3))]
    auto = make_auto(candidates=three).fit(*make_intercepts())
    status = auto.leaderboard_.set_index("learner").status
    assert status["HierarchicalLinear"] == "compared"
    assert status["MAML 1"] == "no time"
    # Two learners have their first run, of one iteration at least; the better one is compared as
    # it is, on the tasks of the first fold.
    assert auto.history_["n_iterations"] == [0, 2, 2]
    assert {status["MAML 2"], status["MAML 3"]} == {"compared", "stopped"}
    assert set(auto.leaderboard_.n_tasks) == {0, 10, 30}
    alone = make_auto(candidates=[SMALL_MAML]).fit(*make_intercepts())
    assert alone.prior_.learner == "MAML"


def test_a_learner_is_not_begun_in_the_time_for_the_last_training(monkeypatch):
    left = [100.0]
    monkeypatch.setattr(Clock, "left", lambda self: left[0])
    train = Race._train

    def train_slowly(self, candidate, *args):
        run = train(self, candidate, *args)
        left[0] = 1.0 if candidate.has_outer_loop else left[0]
        return run

    monkeypatch.setattr(Race, "_train", train_slowly)
    three = [HierarchicalLinear(), *(clone(SMALL_MAML) for _ in range(3))]
    auto = make_auto(candidates=three).fit(*make_intercepts())
    status = auto.leaderboard_.set_index("learner").status
    assert status["MAML 1"] == "compared"
    assert status["MAML 2"] == status["MAML 3"] == "no time"


def test_lines_of_progress_name_the_learner(capsys):
    make_auto(candidates=[HierarchicalLinear()], verbose=1).fit(*make_intercepts())
    printed = capsys.readouterr().err  # which is no terminal
    assert printed.startswith("AutoLearner: 1 run, ")
    assert "learner=HierarchicalLinear" in printed
    assert all(c.isprintable() for c in printed.replace("\n", ""))


def names(design):
    return [candidate.name for candidate in default_candidates(design)]


def test_learners_suit_the_data():
    rng = np.random.default_rng(0)
    X, y, groups = make_intercepts()
    regression = names(design_groups("regression", X, y, groups, "auto", 15, rng))
    assert regression == [
        *("HierarchicalLinear", "the prior that ships"),
        *("MAML (inner_lr=0.02)", "MAML (inner_lr=0.1)"),
        *("MetaSGD (inner_lr=0.02)", "MetaSGD (inner_lr=0.1)"),
        *("ALPaCA", "InContextLearner"),
    ]
    labels = (y > 0).astype(int)
    classification = names(design_groups("classification", X, labels, groups, "auto", 15, rng))
    assert classification == [name for name in regression if name != "the prior that ships"]
    tables = names(design_classes(X, groups, (2,), 5, "auto", 3, rng))
    assert tables == ["the prior that ships", "ProtoNet", "InContextLearner"]
    pixels = rng.normal(size=(len(X), 64))
    images = design_classes(pixels, groups, (1, 8, 8), 5, "auto", 3, rng)
    assert names(images) == ["ProtoNet", "MAML"]
    for candidate in default_candidates(images):
        assert candidate.learner.backbone == "conv4"
        assert candidate.learner.backbone_params == {"n_blocks": 3}


def test_few_groups_are_cross_fitted_and_many_are_not():
    rng = np.random.default_rng(0)
    for n_groups, n_folds, n_tasks in ((10, 3, 10), (59, 3, 59), (60, 1, 20), (400, 1, 60)):
        X, y, groups = make_intercepts(n_groups=n_groups)
        design = design_groups("regression", X, y, groups, (2, 6), 15, rng)
        assert len(design.folds) == n_folds
        assert len(design.tasks) == n_tasks
        for task in design.tasks:
            used = np.concatenate([*task.supports, task.query])
            assert len(set(groups[used])) == 1
            assert not set(groups[used]) & set(groups[design.folds[task.fold]])
            assert not set(task.query) & set(task.supports[-1])
            assert [len(support) for support in task.supports] == [2, 6]


def test_held_out_classes_are_not_learned_from():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 8)
    X = rng.normal(size=(len(y), 3))
    for n_way, n_folds in ((5, 2), (3, 1)):
        design = design_classes(X, y, (3,), n_way, (1, 4), 15, rng)
        assert len(design.folds) == n_folds
        assert design.n_query == 4
        for task in design.tasks:
            assert len(task.labels) == n_way
            assert set(y[task.query]) == set(task.labels)
            assert not set(task.labels) & set(y[design.folds[task.fold]])
            assert [len(support) for support in task.supports] == [n_way, 4 * n_way]
            assert not set(task.query) & set(task.supports[-1])


def test_protonet_keeps_shots_of_each_class_by_groups():
    X, target, groups = make_intercepts()
    small = ProtoNet(backbone_params={"hidden": (4,)}, n_iterations=1, validation=0)
    auto = AutoLearner(candidates=[small], n_shot=(2, 4), random_state=0)
    with pytest.warns(BaselineWarning, match="does not pay"):  # after one iteration
        auto.fit(X, (target > 0).astype(int), groups)
    assert auto.best_learner_.sampling.shots_per == "class"
    assert auto.best_learner_.n_shot == (2, 4)


def test_a_checkpoint_knows_the_candidates(tmp_path):
    # The text of many numbers is cut short, and that of a module has no weights.
    deep = MAML(backbone_params={"hidden": (2,) * 32}, n_iterations=1, validation=0)
    deeper = clone(deep).set_params(backbone_params={"hidden": (2,) * 32 + (3,)})
    assert repr([deep]) == repr([deeper])
    modules = [MAML(backbone=torch.nn.Linear(2, 3), n_iterations=1, validation=0) for _ in range(2)]
    for number, (given, other) in enumerate([(deep, deeper), modules]):
        race = tmp_path / str(number)
        auto = make_auto(candidates=[given], checkpoint=race, time_budget=None)
        with pytest.warns(BaselineWarning):
            auto.fit(*make_intercepts())
        with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
            clone(auto).set_params(candidates=[other]).fit(*make_intercepts())
