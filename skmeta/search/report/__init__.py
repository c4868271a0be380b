"""Reports of searches: one HTML page that holds all it needs."""

from skmeta.search.report._page import write_history_report, write_search_report

__all__ = ["write_history_report", "write_search_report"]
