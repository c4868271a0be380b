"""Tensor files, taken apart and put together again."""

import copy
import hashlib
import json

ZEROS = "0" * 64


def unpack(content):
    """Return the header and the data of a tensor file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def pack(header, data, sign=True):
    """Return a tensor file, with the digest that it should have."""
    header = copy.deepcopy(header)

    def build():
        text = json.dumps(header, separators=(",", ":")).encode()
        return len(text).to_bytes(8, "little") + text + data

    if sign:
        header["__metadata__"]["sha256"] = ZEROS
        header["__metadata__"]["sha256"] = hashlib.sha256(build()).hexdigest()
    return build()
