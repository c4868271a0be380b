"""MetaNAS: the architecture of a network is learned together with its weights."""

from skmeta.learners.architecture._metanas import MetaNAS
