"""Synthetic tables, on which the shipped priors were meta-trained."""

from skmeta.datasets.synthetic_tables._tables import make_table_tasks

__all__ = ["make_table_tasks"]
