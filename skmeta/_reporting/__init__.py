"""What an analyst reports of a fitted table: effects of columns, with their intervals."""

from skmeta._reporting._contrast import ContrastMixin, ReportTable, columns_of
from skmeta._reporting._rates import rates_frame

__all__ = []
