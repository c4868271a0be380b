"""Regression tasks: sinusoids with random amplitudes and phases."""

from typing import Any

import numpy as np

from skmeta._validation import check_count, check_rng


def make_sinusoid_tasks(
    n_tasks: int = 100,
    n_samples: int = 20,
    *,
    noise: float = 0.0,
    return_parameters: bool = False,
    random_state: Any = None,
) -> tuple[np.ndarray, ...]:
    """Make regression tasks ``y = A sin(x - phi)``, the sinusoids of Finn et al.

    Each task has an amplitude ``A`` from 0.1 to 5, a phase ``phi`` from 0 to pi and points ``x``
    from -5 to 5, all drawn uniformly.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_samples : int, default=20
        Number of points of each task.
    noise : float, default=0.0
        Standard deviation of the Gaussian noise added to `y`.
    return_parameters : bool, default=False
        Return the amplitudes and phases too.
    random_state : int, Generator, RandomState or None, default=None
        Pass an int for reproducible tasks.

    Returns
    -------
    X : ndarray of shape (n_tasks * n_samples, 1)
        The points, task by task.
    y : ndarray of shape (n_tasks * n_samples,)
        The values.
    groups : ndarray of shape (n_tasks * n_samples,), int64
        The task of each row, from 0 to ``n_tasks - 1``.
    parameters : ndarray of shape (n_tasks, 2)
        Amplitude and phase of each task. Only if `return_parameters` is True.

    References
    ----------
    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
    ICML 2017, section 5.1.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=3, n_samples=10, random_state=0)
    >>> X.shape, y.shape, int(groups.max())
    ((30, 1), (30,), 2)
    """
    n_tasks, n_samples = check_count(n_tasks, "n_tasks"), check_count(n_samples, "n_samples")
    if not noise >= 0:
        raise ValueError(f"noise must be a standard deviation of at least 0, got {noise!r}.")
    rng = check_rng(random_state)
    amplitude, phase = rng.uniform(0.1, 5.0, n_tasks), rng.uniform(0.0, np.pi, n_tasks)
    parameters = np.column_stack([amplitude, phase])
    x = rng.uniform(-5.0, 5.0, size=(n_tasks, n_samples))
    y = parameters[:, :1] * np.sin(x - parameters[:, 1:]) + noise * rng.standard_normal(x.shape)
    groups = np.repeat(np.arange(n_tasks), n_samples)
    made = x.reshape(-1, 1), y.ravel(), groups
    return (*made, parameters) if return_parameters else made
