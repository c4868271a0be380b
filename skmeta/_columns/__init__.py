"""The one home of columns: numbers, categories, gaps, and what a user is warned of."""

from skmeta._columns._encoder import FrameEncoder, check_type, has_categories
from skmeta._columns._frames import (
    check_frame,
    check_no_times,
    frame_columns,
    is_data_frame,
    kind_of_times,
    numbers_of,
    resolve_columns,
    take_column,
    time_numbers,
)

__all__ = []
