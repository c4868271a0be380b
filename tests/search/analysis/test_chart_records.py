"""What the pictures of a search show, computed once for all that draw them."""

import numpy as np
import pytest

from skmeta.search.analysis import IncumbentChart, TimelineChart, pad_range, style_sources


def test_the_best_score_so_far():
    scores = np.array([np.nan, 0.2, 0.1, 0.5])
    chart = IncumbentChart.of(scores)
    np.testing.assert_array_equal(chart.incumbent, [np.nan, 0.2, 0.2, 0.5])
    assert chart.expected.mean[-1] == pytest.approx(0.5)
    assert 0.1 <= chart.floor < 0.5
    assert IncumbentChart.of(scores, np.array([0.9])).expected.mean.tolist() == [0.9]


def test_candidates_one_after_the_other():
    chart = TimelineChart.of([1.0, np.nan, 2.0], [0.5, 0.5, 0.25])
    assert chart.begins.tolist() == [0.0, 1.5, 2.0]
    assert chart.ends.tolist() == [1.5, 2.0, 4.25]


def test_a_range_with_room_around_it():
    assert pad_range(0.0, 2.0, 0.5, 0.25) == (-1.0, 2.5)
    assert pad_range(3.0, 3.0, 1.0, 1.0) == pytest.approx((2.7, 3.3))
    assert pad_range(0.0, 0.0, 1.0, 1.0) == (-1.0, 1.0)


def test_sources_have_styles_in_the_order_of_their_appearance():
    styles = style_sources(["b", "prior", "a", "b", "c"], {"prior": "x"}, ["1", "2"])
    assert list(styles.items()) == [("b", "1"), ("prior", "x"), ("a", "2"), ("c", "1")]
