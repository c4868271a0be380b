"""Bundled data, and a generator of synthetic tasks."""

from skmeta.datasets._omniglot import load_omniglot
from skmeta.datasets._sinusoid import make_sinusoid_tasks

__all__ = ["load_omniglot", "make_sinusoid_tasks"]
