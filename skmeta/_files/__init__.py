"""Files of every kind: written whole or not at all, and checked before anything is used."""

from skmeta._files._atomic import atomic_writer
from skmeta._files._tensor_file import (
    FileFormat,
    dump_json,
    parse_json,
    parse_tensor_file,
    read_tensor_file,
    skmeta_version,
    write_tensor_file,
)

__all__ = []
