"""Tables on pages of the documentation, made from results."""

from benchmarks.tables import groups, learners, searches, small_tables
from benchmarks.tables._pages import PAGES, TABLES, render

__all__ = ["PAGES", "TABLES", "groups", "learners", "render", "searches", "small_tables"]
