import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

from skmeta.search.early_stopping import hold_out


def rows(n=100, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng.integers(n_classes, size=n)


def test_a_share_is_stratified():
    X, y = rows(300)
    kept, held = hold_out(0.2, X, y, None, True)
    assert sorted([*kept, *held]) == list(range(300))
    assert len(held) == 60
    np.testing.assert_allclose(
        np.bincount(y[held]) / len(held), np.bincount(y) / len(y), atol=1 / len(held)
    )


@pytest.mark.parametrize("is_classification", [True, False])
def test_groups_stay_together(is_classification):
    X, y = rows(200, n_classes=2)
    groups = np.random.default_rng(1).integers(40, size=200)
    kept, held = hold_out(0.2, X, y, groups, is_classification)
    assert not set(groups[kept]) & set(groups[held])
    assert 0.1 < len(held) / 200 < 0.3


def test_few_groups():
    X, y = rows(60, n_classes=2)
    groups = np.repeat([0, 1, 2], 20)
    kept, held = hold_out(0.1, X, y, groups, True)
    assert len(set(groups[held])) == 1
    assert not set(groups[kept]) & set(groups[held])
    with pytest.raises(ValueError, match="one group only"):
        hold_out(0.1, X, y, np.zeros(60), True)


def test_the_last_split_of_a_splitter():
    X, y = rows()
    splitter = TimeSeriesSplit(4)
    expected = list(splitter.split(X))[-1]
    for actual, wanted in zip(hold_out(splitter, X, y, None, True), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_a_class_keeps_its_only_row():
    X, _ = rows(20)
    y = np.array([0] * 10 + [1] * 9 + [2])
    for share in (0.05, 0.5, 0.9):
        kept, held = hold_out(share, X, y, None, True)
        assert set(y[kept]) == {0, 1, 2}
        assert len(held)
        assert sorted([*kept, *held]) == list(range(20))


def test_text_labels_and_several_labels():
    X, y = rows(60)
    assert len(hold_out(0.1, X, np.array(["a", "b", "c"])[y], None, True).held) == 6
    several = np.column_stack([y > 0, y > 1]).astype(int)
    assert len(hold_out(0.1, X, several, None, True).held) == 6


def test_too_few_rows():
    class Nothing:
        def split(self, X, y, groups):
            return []

    with pytest.raises(ValueError, match="holds out 0 and leaves"):
        hold_out(Nothing(), [[0.0]] * 4, [0, 1, 0, 1], None, True)
    with pytest.raises(ValueError, match="holds out 0 and leaves 1 rows"):
        hold_out(0.1, [[0.0]], [0], None, True)
