"""The one home of columns: numbers, categories, gaps, and what a user is warned of."""

from skmeta._columns._encoder import FrameEncoder, check_type, has_categories
from skmeta._columns._equal_rows import distinct_rows, number_copies, table_columns, warn_of_known
from skmeta._columns._frames import (
    check_frame,
    check_no_times,
    check_one_type,
    frame_columns,
    is_data_frame,
    largest_label,
    numbers_of,
    resolve_columns,
    take_column,
)
from skmeta._columns._rows import encode_rows, flatten_rows, mix_bits
from skmeta._columns._times import Times, time_numbers, wall_time

__all__ = []
