import numpy as np

from skmeta.search._propose import cross_best


def test_crosses_of_the_best_candidates_become_better():
    rng = np.random.default_rng(0)
    candidates = [{f"x{i}": float(x) for i, x in enumerate(row)} for row in rng.random((100, 6))]

    def utility(candidates):
        values = np.array([[*one.values()] for one in candidates])
        return -((values - 0.5) ** 2).sum(1)

    first = list(candidates)
    for _ in range(3):
        children = cross_best(candidates, utility(candidates), rng)
        candidates += children
    assert utility(candidates).max() > 0.3 * utility(first).max()
    for name in first[0]:
        assert {one[name] for one in candidates} == {one[name] for one in first}


def test_parts_and_texts_are_not_crossed():
    pair = [{"kernel": "rbf", "C": 1.0}, {"kernel": "poly", "C": 2.0}]
    other = {"kernel": "linear"}
    children = cross_best([*pair, other], [1.0, 0.9, 0.8], np.random.default_rng(0))
    assert all(len(one) == 2 or one == other for one in children)
    assert {(one["kernel"], one["C"]) for one in children if len(one) == 2} == {
        *[("rbf", 1.0), ("rbf", 2.0), ("poly", 1.0), ("poly", 2.0)]
    }


def test_about_half_of_the_values_are_exchanged():
    pair = {"n": 1, "depth": None, "shape": (8,)}, {"n": 2, "depth": 3.0, "shape": (9,)}
    children = cross_best(pair, [1.0, 1.0], np.random.default_rng(0))
    for name in pair[0]:
        assert {one[name] for one in children} == {one[name] for one in pair}
    mixed = [one for one in children if one not in pair]
    assert 0.25 < len(mixed) / len(children) < 0.5  # 3 of 8 where the parents differ
