"""Synthetic tables, which the shipped priors are meta-trained on."""

from skmeta.datasets.synthetic_tables._tables import make_table_tasks

__all__ = ["make_table_tasks"]
