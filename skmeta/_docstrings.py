"""Parts of docstrings that learners of tables, images and policies share."""

from __future__ import annotations

__all__ = ["SHARED_PARAMETERS"]

SHARED_PARAMETERS = {
    "inner_lr": ("float", "Step size of the inner loop (alpha in the papers)."),
    "learn_inner_lr": (
        "bool",
        "Whether the step size is learned, one for each tensor and step; ``inner_lr`` is where it "
        "starts. Steps beyond those of the meta-training take the last one.",
    ),
    "task_type": (
        '{"auto", "classification", "regression"}',
        "What the tasks are. ``auto`` is a regression if groups are given and ``y`` is "
        "continuous, a classification for labels and for the codes 0, 1, ... of at most ten "
        "classes. Other whole numbers may be either, and ``fit`` asks for a ``task_type``.",
    ),
    "n_hidden": (
        "int",
        "Hidden units of the learned optimizer's LSTM, which has a state for each weight.",
    ),
    "meta_batch_size": ("int", "Tasks of a meta-iteration."),
    "meta_lr": ("float", "Step size of the outer loop (beta in the papers) at its start."),
    "meta_optimizer": ('{"adam", "sgd"}', "Optimizer of the outer loop."),
    "schedule": (
        '{"constant", "linear", "cosine"}',
        "How ``meta_lr`` falls towards 0 at the last iteration.",
    ),
    "clip_norm": ("float or None", "Largest norm of the meta-gradient; None does not clip."),
    "evaluate_every": (
        "int",
        "Iterations between two rows of ``history_``, validations and checkpoints.",
    ),
    "patience": (
        "int or None",
        "Validations without a better score after which meta-training ends; None: never.",
    ),
    "device": ("str or torch.device", "Where to compute; ``auto`` takes a GPU if there is one."),
    "checkpoint": (
        "path or None",
        "File written at each evaluation. If it exists when ``fit`` begins, the run goes on "
        "from it, to the same result as without a break. It needs an integer ``random_state``.",
    ),
    "verbose": ("int", "1 shows a progress bar."),
}
