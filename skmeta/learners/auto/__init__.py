"""AutoLearner: a race of learners on held-out tasks."""

from skmeta.learners.auto._learner import AutoLearner
