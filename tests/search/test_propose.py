import numpy as np

from skmeta.search._propose import cross_best


def test_parts_and_texts_are_not_crossed():
    pair = [{"kernel": "rbf", "C": 1.0}, {"kernel": "poly", "C": 2.0}]
    other = {"kernel": "linear"}
    children = cross_best([*pair, other], [1.0, 0.9, 0.8], np.random.default_rng(0))
    assert all(len(one) == 2 or one == other for one in children)
    assert {(one["kernel"], one["C"]) for one in children if len(one) == 2} == {
        *[("rbf", 1.0), ("rbf", 2.0), ("poly", 1.0), ("poly", 2.0)]
    }
