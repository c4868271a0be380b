"""Ways to damage a file, drawn by hypothesis, and guards on what reading it may cost."""

import copy
import json
import math
import resource
import signal
import sys
from contextlib import contextmanager

from hypothesis import strategies as st
from tensor_files import pack, unpack

MAX_SECONDS = 5.0
MAX_BYTES = 2**30

# Values that a hostile file may hold where others are expected.
JUNK = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1, 2, 10**12, 2**63, 2**200, -0.5, 1e308]),
    st.sampled_from([math.nan, math.inf, "", "a", "float32", "NaN", "é" * 300]),
    st.sampled_from([[], {}, [[]], [None], {"": 0}, ["a", 1]]),
    st.sampled_from([20, 33, 400]).map(lambda n: json.loads("[" * n + "]" * n)),
    st.text(max_size=5),
    st.integers(-3, 40),
    st.floats(),
)


@st.composite
def damages(draw, size):
    """Draw a function that changes some bytes of a file, and does not mend its digest."""
    kind = draw(st.sampled_from(["flip", "flips", "truncate", "insert", "delete", "overwrite"]))
    at = draw(st.integers(0, size - 1))
    if kind == "flip":
        bits = [draw(st.integers(0, 8 * size - 1))]
    elif kind == "flips":
        bits = draw(st.lists(st.integers(0, 8 * size - 1), min_size=2, max_size=8, unique=True))
    if kind in ("flip", "flips"):
        return lambda content: flip_bits(content, bits)
    if kind == "truncate":
        return lambda content: content[:at]
    if kind == "delete":
        end = at + draw(st.integers(1, 64))
        return lambda content: content[:at] + content[end:]
    new = draw(st.binary(min_size=1, max_size=64))
    end = at if kind == "insert" else at + len(new)
    return lambda content: content[:at] + new + content[end:]


def flip_bits(content, bits):
    """Return bytes with some bits flipped."""
    changed = bytearray(content)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@st.composite
def edits(draw, content, name):
    """Draw a file with a changed header, record or array, and the digest that it should have."""
    header, data = unpack(content)
    what = draw(st.sampled_from(["record", "record", "record", "header", "data"]))
    if what == "data" and data:
        at = draw(st.integers(0, len(data) - 1))
        new = draw(st.sampled_from([b"\xff" * 8, b"\0" * 8]) | st.binary(min_size=1, max_size=16))
        data = (data[:at] + new)[: len(data)] + data[at + len(new) :]
    elif what == "header":
        header = draw(edited(header, keep=("__metadata__",)))
    else:
        record = json.loads(header["__metadata__"][name])
        header["__metadata__"][name] = json.dumps(draw(edited(record)))
    return pack(header, data)


@st.composite
def edited(draw, value, keep=()):
    """Draw a JSON value in which one part was replaced, removed, doubled or added."""
    value = copy.deepcopy(value)
    parent, key = draw(st.sampled_from([p for p in _places(value) if p[1] not in keep]))
    action = draw(st.sampled_from(["replace", "replace", "remove", "double", "add"]))
    if action == "replace":
        parent[key] = draw(JUNK)
    elif action == "remove":
        del parent[key]
    elif isinstance(parent, dict):
        parent[draw(st.text(max_size=3))] = parent[key] if action == "double" else draw(JUNK)
    else:
        parent.insert(key, parent[key] if action == "double" else draw(JUNK))
    return value


def _places(value):
    """Return each container in a JSON value with each of its keys, the upper ones first."""
    layer, found = [value], []
    while layer:
        pairs = [(p, k) for p in layer for k in (p if isinstance(p, dict) else range(len(p)))]
        found += pairs
        layer = [p[k] for p, k in pairs if isinstance(p[k], dict | list)]
    return found


class Hang(BaseException):
    """Reading took too much processor time. No error of Python's, so that nothing catches it."""


@contextmanager
def bounded():
    """Raise `Hang` after five seconds of processor time; fail if memory grew by a gigabyte."""

    def stop(*_):
        raise Hang(f"more than {MAX_SECONDS} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    peak = peak_bytes()
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert peak_bytes() - peak < MAX_BYTES


def peak_bytes():
    """Return the most memory that this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
