"""Trees of tensors are mapped as torch maps them for ``torch.func.vmap``."""

from typing import NamedTuple

import pytest
import torch

from skmeta.backend import tree_leaves, tree_map


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


def make_tree(start):
    a, b, c, d = torch.arange(start, start + 8.0).reshape(4, 2)
    return {"pair": Pair(a, b), "rest": [c, (d,)], "none": {}}


def test_leaves_are_mapped_and_the_structure_is_kept():
    found = tree_map(torch.add, make_tree(0), make_tree(10))
    assert list(found) == ["pair", "rest", "none"]
    assert type(found["pair"]) is Pair
    assert [type(part) for part in found["rest"]] == [torch.Tensor, tuple]
    expected = torch.arange(10.0, 26.0, 2).reshape(4, 2)
    assert torch.equal(torch.stack(list(tree_leaves(found))), expected)


def test_it_visits_what_vmap_visits():
    tree = make_tree(0)
    expected = torch.func.vmap(lambda t: tree_map(lambda x: 2 * x, t))(tree)
    found = tree_map(lambda x: 2 * x, tree)
    assert type(found["pair"]) is type(expected["pair"])
    for a, b in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        assert torch.equal(a, b)


def test_trees_of_another_structure_are_refused():
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
        tree_map(torch.add, [torch.ones(1)] * 2, [torch.ones(1)])
    with pytest.raises(KeyError, match="a"):
        tree_map(torch.add, {"a": torch.ones(1)}, {"b": torch.ones(1)})
