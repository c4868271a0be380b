"""Ablations switch off mechanisms that are there."""

import pytest

pytest.importorskip("lightgbm")  # of the scripts whose tables and scores are used

from benchmarks.measure.table_ablations import MECHANISMS


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_mechanism_can_be_switched_off(name):
    with MECHANISMS[name].off():
        pass
