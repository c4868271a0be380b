"""Tasks with wrong labels, to train on or to test with."""

from dataclasses import replace

import numpy as np

from skmeta.tasks._task import Task

__all__ = ["with_wrong_labels"]


def with_wrong_labels(task: Task, share: float, rng: np.random.Generator) -> Task:
    """Put wrong labels into the support set of a task.

    Parameters
    ----------
    task : Task
        The task. It is not changed.
    share : float
        Probability of each support row to get a wrong label: another class, drawn from all others,
        or the target of another support row in a regression.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Task
        A copy with another ``y_support`` and the same query set.

    Raises
    ------
    ValueError
        If ``share`` is not a probability.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import ClassEpisodes, with_wrong_labels
    >>> rng = np.random.default_rng(0)
    >>> task = ClassEpisodes(np.repeat(range(5), 10), n_way=5, n_shot=4, n_query=4).sample(rng)
    >>> wrong = with_wrong_labels(task, 0.2, rng).y_support != task.y_support
    >>> int(wrong.sum()), len(wrong)
    (7, 20)
    """
    if not 0 <= share <= 1:
        raise ValueError(
            f"share must be a probability, from 0 to 1, got {share!r}. "
            "Pass 0.2 for one wrong label in five."
        )
    y = task.y_support
    n = len(y)
    if task.n_classes is not None:
        other = (y + rng.integers(1, task.n_classes, n)) % task.n_classes
    else:
        other = y[(np.arange(n) + rng.integers(1, max(2, n), n)) % n]
    return replace(task, y_support=np.where(rng.random(n) < share, other, y))
