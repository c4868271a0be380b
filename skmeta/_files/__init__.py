"""Files of every kind: written whole or not at all, and checked before anything is used."""

from skmeta._files._atomic import atomic_writer as atomic_writer
from skmeta._files._json import dump_json as dump_json
from skmeta._files._json import parse_json as parse_json
from skmeta._files._tensor_file import FileFormat as FileFormat
from skmeta._files._tensor_file import parse_tensor_file as parse_tensor_file
from skmeta._files._tensor_file import read_tensor_file as read_tensor_file
from skmeta._files._tensor_file import skmeta_version as skmeta_version
from skmeta._files._tensor_file import write_tensor_file as write_tensor_file

__all__ = []
