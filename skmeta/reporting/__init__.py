"""What an analyst reports of a fitted table: effects of columns, with their intervals."""

from skmeta.reporting._contrast import ContrastMixin, Rows, columns_of

__all__ = []
