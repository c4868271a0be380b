"""Bundled data, and generators of synthetic tasks."""

from skmeta.datasets._omniglot import load_omniglot
from skmeta.datasets._sinusoid import make_sinusoid_tasks
from skmeta.datasets.synthetic_tables import make_table_tasks

__all__ = ["load_omniglot", "make_sinusoid_tasks", "make_table_tasks"]
