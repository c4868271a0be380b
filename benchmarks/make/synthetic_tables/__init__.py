"""Synthetic tables, on which the shipped priors were meta-trained."""

from benchmarks.make.synthetic_tables.tables import make_table_tasks

__all__ = ["make_table_tasks"]
