"""Tasks drawn together are those that are drawn one by one, in distribution and in shape."""

from collections import Counter

import numpy as np
import pytest

from skmeta.tasks import ClassEpisodes, GroupEpisodes, stack_tasks
from skmeta.tasks._samplers import draw_positions


def make_groups():
    sizes = [4, 5, 7, 12]
    groups = np.repeat(["a", "b", "c", "d"], sizes)
    return np.arange(float(len(groups))), groups


def samplers():
    y = np.repeat(np.arange(6), [4, 5, 6, 7, 8, 90])
    numbers, groups = make_groups()
    labels = np.arange(len(groups)) % 3
    options = {"classes": [0, 1, 2]}
    parity = {k: k % 2 for k in range(6)}
    return {
        "classes": ClassEpisodes(y, 3, 2, 2),
        "shots": ClassEpisodes(y, 3, (1, 3), 1),
        "superclass": ClassEpisodes(y, 2, 1, 2, superclass=parity),
        "groups": GroupEpisodes(numbers, groups, 2, 3),
        "groups-shots": GroupEpisodes(numbers, groups, (1, 5), 4),
        "ordered": GroupEpisodes(numbers, groups, (1, 2), 2, order=-numbers),
        "task-shots": GroupEpisodes(labels, groups, 2, 2, **options, shots_per="task"),
        "class-shots": GroupEpisodes(labels, groups, 1, 2, **options),
    }


@pytest.mark.parametrize("name", samplers())
def test_tasks_drawn_together_have_the_distribution_of_single_ones(name):
    sampler, n_tasks = samplers()[name], 4000
    together = sampler.sample_batch(np.random.default_rng(0), n_tasks)
    rng = np.random.default_rng(1)
    single = stack_tasks([sampler.sample(rng) for _ in range(n_tasks)])
    assert together.n_classes == single.n_classes
    for field in together._fields[:-1]:
        found, expected = getattr(together, field), getattr(single, field)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    for side in ("support", "query"):
        counts = []
        for batch in (together, single):
            rows, y, w = (getattr(batch, f"{part}{side}") for part in ("", "y_", "w_"))
            # What a row is, in its place: weight, target, and whether it is a repetition.
            counts.append(Counter(zip(rows.ravel(), y.ravel(), w.ravel(), strict=True)))
            place = np.broadcast_to(np.arange(rows.shape[1]), rows.shape).ravel()
            counts[-1].update(zip(rows.ravel(), place, strict=True))
        for key in counts[0] | counts[1]:
            a, b = counts[0][key], counts[1][key]
            # Rows of a task are drawn without replacement: Poisson's variance is an upper bound.
            assert abs(a - b) < 5.5 * np.sqrt(a + b + 1), key


@pytest.mark.parametrize("name", samplers())
def test_support_and_query_rows_are_distinct_rows_of_the_task(name):
    batch = samplers()[name].sample_batch(np.random.default_rng(2), 300)
    for k in range(300):
        used = [
            getattr(batch, side)[k][getattr(batch, f"w_{side}")[k] > 0]
            for side in ("support", "query")
        ]
        rows = np.concatenate(used)
        assert len(set(rows)) == len(rows)
        assert all(len(part) for part in used)
        # Rows of weight 0 repeat rows that count.
        for side, part in zip(("support", "query"), used, strict=True):
            assert set(getattr(batch, side)[k]) == set(part)


@pytest.mark.parametrize("size", [3, 5, 200])  # Sorted keys, and Floyd's algorithm.
def test_positions_are_drawn_without_replacement_in_any_order(size):
    n, n_draws = 3, 30_000
    drawn = draw_positions(np.random.default_rng(0), np.full(n_draws, size), n)
    assert drawn.shape == (n_draws, n)
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    assert drawn.min() == 0
    assert drawn.max() == size - 1
    for column in drawn.T:
        counts = np.bincount(column, minlength=size)
        assert abs(counts - n_draws / size).max() < 5 * np.sqrt(n_draws / size)
    # Whatever comes first, each other position comes second equally often.
    gaps = np.bincount((drawn[:, 1] - drawn[:, 0]) % size, minlength=size)[1:]
    assert abs(gaps - n_draws / (size - 1)).max() < 5 * np.sqrt(n_draws / (size - 1))
