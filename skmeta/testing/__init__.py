"""Conformance checks that every learner must pass, ours or a user's."""

from skmeta.testing._checks import check_learner, learner_checks

__all__ = ["check_learner"]
