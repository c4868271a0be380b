"""Data of mixed-effects models, as the R package lme4 (GPL >= 2) has them, and drawn tasks."""

from pathlib import Path

import numpy as np


def _lines(name):
    """The first word of each line, and its numbers."""
    lines = (Path(__file__).parent / "data" / f"{name}.txt").read_text().splitlines()
    return [line.split()[0] for line in lines], np.array(
        [line.split()[1:] for line in lines], float
    )


def load_pastes():
    """Strengths of a paste (60,), and batch and cask (60, 2); casks are numbered throughout.

    Davies and Goldsmith (1972), Statistical methods in research and production, section 6.5.
    """
    casks = np.repeat(np.arange(30), 2)
    return _lines("pastes")[1].ravel(), np.column_stack([casks // 3, casks])


def load_penicillin():
    """Diameters of areas without bacteria (144,), and plate and sample (144, 2); section 6.6."""
    plates, samples = np.divmod(np.arange(144), 6)
    return _lines("penicillin")[1].ravel(), np.column_stack([plates, samples])


def load_sleepstudy():
    """Days (180, 1), reaction times (180,) and subjects (180,).

    Belenky et al. (2003), Patterns of performance degradation and restoration during sleep
    restriction and subsequent recovery, Journal of Sleep Research 12.
    """
    subjects, y = _lines("sleepstudy")
    days = np.tile(np.arange(10.0), len(subjects))[:, None]
    return days, y.ravel(), np.repeat([int(subject) for subject in subjects], 10)


def draw_tasks(seed, n_tasks=40, n_rows=12, n_features=3):
    """Rows of tasks whose intercepts and first slopes differ, targets and tasks."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), n_features))
    effects = rng.normal(size=(n_tasks, n_features + 1)) * np.r_[1.0, 0.5, np.zeros(n_features - 1)]
    slopes = np.r_[0.3, 1.0, -0.5, np.zeros(n_features - 2)]
    coefficients = slopes + effects
    y = (np.column_stack([np.ones(len(X)), X]) * coefficients[groups]).sum(1)
    return X, y + 0.7 * rng.normal(size=len(y)), groups
