"""Marks of single cases of a test."""

import pytest


def slow(*values, **settings):
    """A case that is left out of a run of all tests, unless SKMETA_TESTS=all."""
    return pytest.param(*values, marks=pytest.mark.slow, **settings)
