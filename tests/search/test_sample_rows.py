"""Which rows a sample has."""

import numpy as np
import pytest
from sklearn.model_selection import KFold, StratifiedKFold

from skmeta.search._samples import sample_folds


def labelled(n=6000):
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], size=n, p=[0.7, 0.298, 0.002])
    return y, list(StratifiedKFold(3).split(y[:, None], y))


def drawn(splits, y, share, is_classification=True):
    return sample_folds(splits, y, share, is_classification=is_classification, seed=3)


def test_a_sample_is_of_the_folds_own_rows():
    y, splits = labelled()
    for (train, test), (some, scored) in zip(splits, drawn(splits, y, 0.1), strict=True):
        assert len(some) == 400
        assert set(some) <= set(train)
        assert set(scored) <= set(test)
        assert len(scored) == 1000  # at least, as scores are cheap
        assert (np.diff(some) > 0).all()


def test_samples_have_the_shares_of_the_classes():
    y, splits = labelled()
    for some, scored in drawn(splits, y, 0.1):
        assert np.mean(y[some] == "a") == pytest.approx(0.7, abs=0.02)
        assert np.count_nonzero(y[some] == "c") >= 3
        assert np.count_nonzero(y[scored] == "c") >= 1


def test_a_column_of_classes_is_stratified_too():
    y, splits = labelled()
    one, other = drawn(splits, y, 0.1), drawn(splits, y[:, None], 0.1)
    np.testing.assert_array_equal(one[0][0], other[0][0])


@pytest.mark.parametrize("y", [None, np.zeros((6000, 2)), np.arange(6000.0)])
def test_other_targets_are_sampled_at_random(y):
    splits = list(KFold(3).split(np.zeros(6000)))
    some, _ = drawn(splits, y, 0.1, is_classification=y is None)[0]
    assert len(np.unique(some)) == 400


def test_masks_of_rows_are_taken():
    y, splits = labelled(300)
    masks = [tuple(np.isin(np.arange(300), rows) for rows in split) for split in splits]
    for one, other in zip(drawn(splits, y, 0.5), drawn(masks, y, 0.5), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
