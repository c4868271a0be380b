"""Pictures of a finished search, and an HTML report that holds all it needs."""

from skmeta.search.report._display import SearchDisplay, result_metric
from skmeta.search.report._page import FittedSearch, write_search_report
