"""AutoLearner: learners are compared on held-out tasks."""

from skmeta.learners.auto._learner import AutoLearner
