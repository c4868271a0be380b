"""The documentation that all learners share, written once."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import fields, is_dataclass
from typing import Any

from skmeta._docstrings import SHARED_PARAMETERS, describe_parameters

PARAMETERS = SHARED_PARAMETERS | {
    "inner_lr": (
        'float or "auto"',
        "Step size of the inner loop (alpha in the papers). ``auto`` meta-trains for a tenth of "
        "the iterations with each of four step sizes, from 0.01 to 0.3, and takes the one with the "
        "least loss on held-out tasks. A run that is resumed from a checkpoint tries them again: "
        "give ``random_state``, so that it finds the same.",
    ),
    "n_inner_steps": ("int", "Number of gradient steps of the adaptation to a task."),
    "head_init": (
        '{"auto", "shared", "zeros", "prototype", "learned"}',
        "What the linear head of a new task starts from. ``prototype``: the class means of the "
        "support set (Proto-MAML); ``shared``: one learned row for all classes (UNICORN-MAML); "
        "``zeros``: zero; ``learned``: a learned row for each class, as in the MAML paper, for "
        "tasks whose classes mean the same in all (or with ``n_way`` classes at most). ``auto`` "
        "is ``learned`` for groups and regressions; for tasks drawn from classes it is "
        "``prototype``, or ``zeros`` for FineTuning. Where all rows are equal (``shared``, "
        "``zeros``), the first gradient step moves the head alone.",
    ),
    "first_order": (
        "bool",
        "Whether the meta-gradient ignores how the inner gradients depend on the prior: faster, "
        "and often nearly as good.",
    ),
    "inner_clip_norm": (
        "float or None",
        "Largest norm of an inner gradient; None does not clip. On support sets with wrong labels "
        "gradients are far longer than meta-training has seen.",
    ),
    "multi_step_loss": (
        "float",
        "Share of the meta-training, from its start, in which the query losses after all inner "
        "steps count, with weights that go over to the last one; 0: the last one only.",
    ),
    "first_order_until": (
        "float",
        "Share of the meta-training, from its start, in which the meta-gradient is of first order.",
    ),
    "per_step_norm": (
        "bool",
        "Whether batch normalisations have scales and shifts of their own after each step, which "
        "are learned, but not adapted.",
    ),
    "architecture_lr": ("float", "Step size of the inner loop for the architecture parameters."),
    "temperature": (
        "tuple of two floats",
        "Temperature of the softmax over operations at first, and when the choice is made. "
        "Architecture parameters start near 0 and move by about ``meta_lr`` an iteration: the "
        "lower the temperature, the sooner the preferred operations have most of the network.",
    ),
    "annealing": (
        "tuple of two floats",
        "Shares of the meta-training at which annealing begins and ends: before the first, all "
        "operations are mixed; after the second, one per edge is left.",
    ),
    "max_parameters": (
        "int or None",
        "Budget of the network that is left when the choice is made, without the head.",
    ),
    "outer": (
        '{"maml", "reptile"}',
        "How meta-training moves the prior: by the gradient of the query loss after adaptation, or "
        "towards where adaptation ends.",
    ),
    "n_hidden": (
        "int",
        "Hidden units of the learned optimizer's LSTM, which has a state for each weight.",
    ),
    "truncation": (
        "int or None",
        "Number of steps that meta-training back-propagates through at once; None: all of them.",
    ),
    "objective": (
        '{"query", "support"}',
        "Loss that meta-training descends: that of the query set, to learn tasks of few rows, or "
        "that of the support set, to minimise a given loss.",
    ),
    "learn_start": (
        "bool",
        "Whether the weights that a task starts from are learned, too. An optimizer for other "
        "networks should know many starts.",
    ),
    "loss_scaling": (
        "float",
        "Meta-training multiplies the loss that the optimizer sees by exp(u), with u in "
        "[-loss_scaling, loss_scaling] for each task.",
    ),
    "parameter_scaling": (
        "float",
        "The same for each parameter: the optimizer sees each one multiplied by its own factor.",
    ),
    "query_statistics": (
        "bool",
        "Whether meta-training normalises query rows by their own batch statistics, as the paper "
        "does; predictions stay as ``transductive`` says.",
    ),
    "backbone": (
        '{"mlp", "conv4", "resnet12", "identity", "cells", "image_cells", "table_cells"} or '
        "torch.nn.Module",
        "Network that turns a row into features. A module of your own maps "
        "``(n_rows, *input_shape)`` to ``(n_rows, n_features)``; dropout in it is inactive.",
    ),
    "backbone_params": (
        "dict or None",
        "Keyword arguments of a named backbone, such as ``{'hidden': (64, 64)}``.",
    ),
    "input_shape": (
        "tuple of int or None",
        "Shape that a row is given to the backbone in, such as ``(1, 28, 28)``. None takes it "
        "from ``X``; a square grey image is assumed for ``conv4`` and "
        "``resnet12``.",
    ),
    "task_type": (
        '{"auto", "classification", "regression"}',
        "What the tasks are. ``auto`` is a regression if groups are given and ``y`` is "
        "continuous, a classification for labels and for the codes 0, 1, ... of at most ten "
        "classes. Other whole numbers may be either, and ``fit`` asks for a ``task_type``.",
    ),
    "n_way": (
        "int",
        "Classes of a task that is drawn from classes. With groups it has no effect: a task then "
        "has all classes.",
    ),
    "n_shot": (
        "int or tuple of two ints",
        "Support rows of a task: of each class if tasks are drawn from classes, in all if they are "
        "groups. A range ``(low, high)`` draws the number for each task, so that one prior serves "
        "few and many rows.",
    ),
    "n_query": ("int", "Query rows of a task, counted as ``n_shot``."),
    "shots_per": (
        '{"auto", "class", "task"}',
        "What ``n_shot`` and ``n_query`` count in classifications by groups. ``task``: rows in "
        "all, drawn as they come, so that a class may be absent and a group may have one class. "
        "``class``: rows of each class, as in version 0.1. ``auto``: ``task``, unless the learner "
        "needs rows of each class (ProtoNet, and heads that start from prototypes).",
    ),
    "transductive": (
        "bool",
        "Whether batch normalisation uses the query set's own statistics, as the papers do, "
        "instead of the support set's. A row's prediction then depends on the rows beside it.",
    ),
    "test_time_augment": (
        '{"auto", "mirror", "rotations"}, list of these or None',
        "Views of a new task of images: all its images are mirrored, turned by 90, 180 and 270 "
        "degrees, or both. The task is learned in each view, and predictions are means over the "
        "views, so that they take two, four or eight times as long. ``auto`` takes those of "
        "``augment``, since meta-training then knows such tasks. Meta-training itself and its "
        "validation do not use it.",
    ),
    "standardize": (
        'bool or "auto"',
        "Whether features (and targets of a regression) are centred and scaled by the "
        "meta-training rows; ``auto``: tables, but not images.",
    ),
    "prior": (
        "MetaPrior or None",
        "Where meta-training starts: ``prior_`` of a learner with the same backbone, such as last "
        "month's. Its network, its standardisation and what else the learners have in common are "
        "taken over. None draws the weights.",
    ),
    "n_iterations": ("int", "Meta-iterations, at most."),
    "label_noise": (
        "float",
        "Share of the support labels that are made wrong in meta-training, but not in validation, "
        "so that the prior learns not to trust each of them.",
    ),
    "augment": (
        "str, callable, list of these or None",
        "Changes the images of meta-training tasks, but not of validation: ``'affine'`` turns, "
        "shears, scales and shifts each image; ``'mirror'`` and ``'rotations'`` mirror and turn "
        "those of a class alike, so that they are those of another class; a callable takes and "
        "returns the images of one task, a tensor ``(n_rows, channels, height, width)``, such as a "
        "transform of torchvision's v2.",
    ),
    "superclass": (
        "mapping, callable or None",
        "From a class to its superclass, such as the alphabet of a character. The classes of a "
        "task are then drawn from one superclass, and whole superclasses are set aside for "
        "validation.",
    ),
    "validation_fraction": (
        "float",
        "Share of the classes or groups that is set aside to choose the best state by; at least "
        "``n_way`` classes, and none if that were more than a third.",
    ),
    "n_validation_tasks": ("int", "Tasks of a validation, and of ``score``."),
    "precision": (
        '{"float32", "float64", "bfloat16"}',
        "Precision of meta-training. With ``bfloat16``, a network's convolutions and products of "
        "matrices are computed in it, while weights and statistics stay in float32; it needs a "
        "processor with AVX-512-BF16 or AMX, or a GPU.",
    ),
    "execution": (
        '{"auto", "loop", "threads", "vmap"}',
        "How the tasks of a meta-iteration are computed: one by one, one thread per task, or "
        "vectorised. ``auto`` chooses by device and size.",
    ),
    "chunk_size": (
        "int or None",
        "Tasks vectorised at once; None: as many as fit into 1 GiB, or half of a GPU's memory.",
    ),
    "n_jobs": (
        "int or None",
        "Threads over tasks: -1 is one per core, None all that torch uses.",
    ),
    "random_state": (
        "int, Generator, RandomState or None",
        "Seed of the drawn weights and tasks.",
    ),
}

_BULLET: dict[str, Any] = {"subsequent_indent": "  ", "break_long_words": False}

ATTRIBUTES = """\
prior_ : MetaPrior
    What was learned.
history_ : dict of list
    Learning curve, one entry every ``evaluate_every`` iterations: ``iteration``,
    ``train_loss``, ``train_score``, ``validation_loss``, ``validation_score`` (accuracy, or
    minus the squared error in standardised units), ``meta_lr``, ``seconds``. For comparison, the
    same in each entry, the scores of plain models on the validation tasks:
    ``nearest_mean_score``, ``task_ridge_score``, ``pooled_ridge_score`` (those that apply).
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, if ``X`` had some."""


GROUPS = {
    "Tasks": (
        "task_type",
        "n_way",
        "n_shot",
        "n_query",
        "shots_per",
        "label_noise",
        "augment",
        "superclass",
    ),
    "Network": (
        *("backbone", "backbone_params", "input_shape", "head_init"),
        *("transductive", "test_time_augment", "standardize", "prior"),
    ),
    "Adaptation": (),  # All that no other group has.
    "Outer loop": (
        *("n_iterations", "meta_batch_size", "meta_lr", "meta_optimizer", "schedule"),
        *("clip_norm", "validation_fraction", "n_validation_tasks", "evaluate_every"),
        *("patience", "checkpoint"),
    ),
    "Machine": (
        *("device", "precision", "execution", "chunk_size", "n_jobs"),
        *("verbose", "random_state"),
    ),
}


def complete(cls: type) -> None:
    """Put the shared parts into a learner's docstring.

    Parameters
    ----------
    cls : type
        A learner; ``%(parameters)s`` and ``%(attributes)s`` in its docstring are replaced. A list
        of the parameters by group goes before the section of parameters.
    """
    if cls.__doc__ is None or "%(parameters)s" not in cls.__doc__:
        return
    inherited = [f.name for f in fields(cls)] if is_dataclass(cls) else []
    # A class that is just being made is not yet a dataclass: its own parameters are annotations.
    own = inspect.get_annotations(cls).items()
    names = dict.fromkeys([*inherited, *(n for n, kind in own if "ClassVar" not in str(kind))])
    grouped = {group: [n for n in members if n in names] for group, members in GROUPS.items()}
    known = {name for members in GROUPS.values() for name in members}
    grouped["Adaptation"] = [n for n in names if n not in known and n in PARAMETERS]
    special = {"Of this learner": [n for n in names if n not in known and n not in PARAMETERS]}
    # What a learner describes itself stays as it is. Python 3.13 has cleaned its docstring already.
    text = inspect.cleandoc(cls.__doc__)
    named = [name for members in grouped.values() for name in members]
    described = [name for name in named if f"\n{name} : " not in text]
    parameters = describe_parameters(cls, described, PARAMETERS)
    shared = {"parameters": parameters, "attributes": ATTRIBUTES}
    text = text % shared
    listed = [
        textwrap.fill(f"* {group}: {', '.join(f'``{n}``' for n in members)}.", 96, **_BULLET)
        for group, members in (special | grouped).items()
        if members
    ]
    intro = "The parameters are in groups:\n\n" + "\n".join(listed) + "\n\n"
    cls.__doc__ = text.replace("Parameters\n-----", intro + "Parameters\n-----", 1) + "\n"
