"""The one home of columns: numbers, categories, gaps, and what a user is warned of."""

from skmeta._columns._categories import has_categories as has_categories
from skmeta._columns._codes import CategoryCodes as CategoryCodes
from skmeta._columns._encoder import FrameEncoder as FrameEncoder
from skmeta._columns._frames import check_no_times as check_no_times
from skmeta._columns._frames import frame_columns as frame_columns
from skmeta._columns._frames import is_data_frame as is_data_frame
from skmeta._columns._frames import numbers_of as numbers_of
from skmeta._columns._frames import resolve_columns as resolve_columns
from skmeta._columns._frames import take_column as take_column
from skmeta._columns._frames import times_of as times_of

__all__ = []
