"""Documentation of the parameters that all policy learners share."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass

from skmeta._docstrings import SHARED_PARAMETERS, describe_parameters

PARAMETERS = SHARED_PARAMETERS | {
    "hidden": ("tuple of int", "Width of each hidden layer of the policy."),
    "activation": ('{"relu", "tanh", "gelu", "silu"}', "Applied after each layer."),
    "initial_std": (
        "float",
        "Standard deviation of a Gaussian policy at first, in half the range of an action. It is "
        "learned, and adapted to a task.",
    ),
    "initial_head_scale": (
        "float",
        "Size of the output layer's first weights; the smaller, the less the first policy depends "
        "on the observation.",
    ),
    "n_inner_steps": (
        "int",
        "Updates of a task's policy, each on ``n_episodes`` new episodes. With 0, one policy is "
        "trained for all tasks by plain policy gradients.",
    ),
    "inner_clip_norm": ("float or None", "Largest norm of an inner gradient; None does not clip."),
    "first_order": (
        "bool",
        "Whether the meta-gradient ignores how the inner gradients depend on the prior.",
    ),
    "estimator": (
        '{"lvc", "dice", "likelihood", "e-maml"}',
        "How an inner gradient depends on the policy whose episodes it is estimated from, which "
        "the meta-gradient sees. ``lvc``: ProMP's estimator, of low variance; ``dice``: exact in "
        "expectation, of higher variance; ``likelihood``: episodes are taken as given; ``e-maml``: "
        "``likelihood``, and the outcome is credited to the episodes too, which is exact for any "
        "number of episodes, of the highest variance.",
    ),
    "multi_step_loss": (
        "bool",
        "Whether the policy after each update counts for the meta-gradient, all alike, instead of "
        "the policy after the last update alone.",
    ),
    "outer": (
        '{"clip", "trust_region"}',
        "Outer step: the optimizer on a clipped ratio (ProMP), or a natural gradient step within a "
        "trust region (as in the MAML paper), which ignores ``meta_lr``, ``meta_optimizer``, "
        "``schedule`` and ``clip_norm``.",
    ),
    "clip_ratio": (
        "float",
        "The ratio of new to old probabilities counts up to one plus or minus this (epsilon).",
    ),
    "inner_kl_weight": (
        "float",
        "Weight of the divergence of the policies before each update from those that played "
        "(eta in ProMP), for ``outer='clip'``.",
    ),
    "max_kl": ("float", "Size of the trust region: largest mean divergence of an outer step."),
    "n_episodes": ("int", "Episodes of a task before each update, and after the last one."),
    "discount": ("float", "Weight of a reward one step later (gamma)."),
    "gae_lambda": (
        "float",
        "Weight of longer estimates in generalised advantages; with 1 an advantage is the return "
        "minus the baseline.",
    ),
    "baseline": (
        '{"linear", "none"}',
        "Expected return that advantages are relative to: linear in observation and time, fitted "
        "for each task anew, or zero.",
    ),
    "standardize_advantages": (
        "bool",
        "Whether the advantages of a task are centred and scaled over its steps.",
    ),
    "standardize": (
        "bool",
        "Whether observations are centred and scaled by what random actions lead to.",
    ),
    "n_iterations": ("int", "Meta-iterations, each with new tasks and episodes."),
    "n_outer_steps": ("int", "Steps of the outer optimizer on the episodes of a meta-iteration."),
    "n_validation_tasks": (
        "int",
        "Tasks set aside, whose mean return chooses the best state; 0: the last state is taken.",
    ),
    "precision": ('{"float32", "float64"}', "Precision of meta-training."),
    "execution": (
        '{"auto", "loop", "threads", "vmap"}',
        "How the tasks of a meta-iteration are computed: one by one, a thread each, or "
        "vectorised. ``auto`` chooses by device and size.",
    ),
    "chunk_size": ("int or None", "Tasks vectorised at once; None: all of a meta-batch."),
    "n_jobs": ("int or None", "Threads over tasks, -1: one a core; None: as many as torch uses."),
    "random_state": (
        "int, Generator, RandomState or None",
        "Seed of the drawn weights, tasks and episodes.",
    ),
}

ATTRIBUTES = """\
prior_ : MetaPrior
    What was learned; give it to :class:`~skmeta.policy.MetaPolicy`.
history_ : dict of list
    Learning curve, one entry every ``evaluate_every`` iterations: ``iteration``,
    ``train_loss``, ``train_score`` and ``validation_score`` (mean return after adaptation),
    ``meta_lr``, ``seconds``."""


def complete(cls: type) -> None:
    """Put the shared parts into a learner's docstring.

    Parameters
    ----------
    cls : type
        A learner; ``%(parameters)s`` and ``%(attributes)s`` in its docstring are replaced.
    """
    if cls.__doc__ is None or "%(parameters)s" not in cls.__doc__:
        return
    names = [field.name for field in fields(cls)] if is_dataclass(cls) else []
    # A class that is just being made is not yet a dataclass: its own parameters are annotations.
    names = [n for n in dict.fromkeys([*names, *inspect.get_annotations(cls)]) if n in PARAMETERS]
    parameters = describe_parameters(cls, names, PARAMETERS)
    shared = {"parameters": parameters, "attributes": ATTRIBUTES}
    cls.__doc__ = inspect.cleandoc(cls.__doc__) % shared + "\n"
