"""Files are written whole or not at all, and checked before anything in them is used."""

import hashlib
import json
import os
import stat
import threading
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import load_file
from tensor_files import unpack

from skmeta._files import (
    MAX_HEADER,
    FileFormat,
    atomic_writer,
    parse_json,
    parse_tensor_file,
    read_tensor_file,
    write_tensor_file,
)
from skmeta.exceptions import PriorError

FORM = FileFormat("skmeta.test", 2, "a test", "Test.save", PriorError)
FIELDS = {"text": "é\n", "none": None, "numbers": [1, 2**100, -0.5, float("inf")]}
FIELDS["deep"] = {"a": [{}]}
TENSORS = {
    "half": np.array([1.5, -2], np.float16),
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "double": np.array(0.1),
    "whole": np.array([-(2**62)]),
    "large": np.array([2**64 - 1], np.uint64),
    "bytes": np.arange(3, dtype=np.uint8),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 4)),
}
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    write_tensor_file(path, FORM, FIELDS, TENSORS)
    return path


def pack(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_round_trip(path):
    record, tensors = read_tensor_file(str(path), FORM)
    assert record["fields"] == FIELDS
    assert record["format_version"] == 2
    by_safetensors = load_file(path)
    assert tensors.keys() == by_safetensors.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        assert tensors[name].dtype == expected.dtype
        assert tensors[name].flags.aligned
        assert not tensors[name].flags.writeable
        np.testing.assert_array_equal(tensors[name], expected)
        np.testing.assert_array_equal(by_safetensors[name], expected)


def test_the_bytes_do_not_depend_on_order_or_layout(path, tmp_path):
    other = {name: TENSORS[name].copy(order="F") for name in reversed(TENSORS)}
    other["double"] = other["double"].astype(">f8")
    write_tensor_file(tmp_path / "other", FORM, dict(reversed(FIELDS.items())), other)
    assert (tmp_path / "other").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("tensors", "error", "match"),
    [
        ({"w": np.array(["a"])}, TypeError, "'w' has dtype <U1. Convert it"),
        ({"w": np.array([1j])}, TypeError, "'w' has dtype complex128"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, tensors, error, match):
    with pytest.raises(error, match=match):
        write_tensor_file(tmp_path / "file", FORM, {}, tensors)
    assert not any(tmp_path.iterdir())


def test_a_header_that_is_too_long(tmp_path):
    with pytest.raises(ValueError, match=r"of a test take 33,554,\d+ bytes, but 33,554,432"):
        write_tensor_file(tmp_path / "file", FORM, {"text": "a" * MAX_HEADER}, {})


def test_each_flipped_bit_is_seen(path):
    content = path.read_bytes()
    for i in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[i] ^= 1 << bit
            with pytest.raises(PriorError, match=r"^'file' (is|was) "):
                parse_tensor_file(bytes(damaged), FORM, "'file'")


def test_each_length_is_seen(path):
    content = path.read_bytes()
    for n in range(len(content)):
        with pytest.raises(PriorError, match=r"is not a test of skmeta|was cut short"):
            parse_tensor_file(content[:n], FORM, "'file'")
    path.write_bytes(content + b"\0")
    with pytest.raises(PriorError, match="is damaged, or was cut short"):
        read_tensor_file(path, FORM)


def test_a_digest_cannot_be_left_out(path):
    header, data = unpack(path.read_bytes())
    del header["__metadata__"]["sha256"]
    path.write_bytes(pack(header, data))
    with pytest.raises(PriorError, match="was altered after it was saved"):
        read_tensor_file(path, FORM)


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place(path):
    content = path.read_bytes()
    digest = unpack(content)[0]["__metadata__"]["sha256"]
    zeroed = content.replace(digest.encode(), b"0" * 64)
    assert hashlib.sha256(zeroed).hexdigest() == digest


ENTRY = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "entries",
    [
        {"w": ENTRY | {"shape": [3]}},
        {"w": ENTRY | {"shape": [10**12], "data_offsets": [0, 8 * 10**12]}},
        {"w": ENTRY | {"shape": [2**40, 2**40]}},
        {"w": ENTRY | {"shape": [-2]}},
        {"w": ENTRY | {"shape": [True, 2]}},
        {"w": ENTRY | {"dtype": "F8_E5M2"}},
        {"w": ENTRY | {"dtype": "BF16", "shape": [8]}},
        {"w": ENTRY | {"data_offsets": [16, 0]}},
        {"w": 3},
        {"w": ENTRY, "v": ENTRY},
        {},
    ],
    ids=lambda case: str(case)[:60],
)
def test_tensors_that_do_not_fit(path, entries):
    record = {FORM.name: json.dumps({"format_version": 2, "fields": {}})}
    path.write_bytes(pack({"__metadata__": record} | entries, bytes(16)))
    with pytest.raises(PriorError, match=r"is damaged, or was cut short|was altered"):
        read_tensor_file(path, FORM)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is not a safetensors file"),
        (b"PK\3\4" + bytes(100), "is not a safetensors file"),
        ((2**40).to_bytes(8, "little") + b"{}", "is not a safetensors file"),
        (pack(b"{]", b""), "is damaged"),
        (pack(b"{\xff}", b""), "is damaged"),
        (pack(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", b""), "is damaged"),
        (pack(b'{"a":' + b"[" * 200_000 + b"}", b""), "is damaged"),
        (pack({}, b""), "a safetensors file, but not a test of skmeta"),
        (pack({"__metadata__": {"a": "b"}}, b""), "not a test of skmeta. Give a file written"),
        (pack({"__metadata__": 1}, b""), "is damaged"),
        (pack({"__metadata__": {FORM.name: 1}}, b""), "is damaged"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_other_files(path, content, match):
    path.write_bytes(content)
    with pytest.raises(PriorError, match=match):
        read_tensor_file(path, FORM)


@posix
@pytest.mark.filterwarnings("error")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PriorError, match=r"pipe' is not a file\. Give a file written by"):
        read_tensor_file(tmp_path / "pipe", FORM)
    with pytest.raises(OSError, match=r"Is a directory|denied"):
        read_tensor_file(tmp_path, FORM)
    with pytest.raises(FileNotFoundError):
        read_tensor_file(tmp_path / "nothing", FORM)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[" * 33 + "]" * 33, "nested more than 32 deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 32 deep"),
        ("{", "Expecting"),
        (b"\xff", "decode"),
    ],
    ids=lambda case: str(case)[:20],
)
def test_json_that_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        parse_json(text)


def test_json_that_is_read():
    assert parse_json("[" * 32 + "]" * 32) == json.loads("[" * 32 + "]" * 32)
    assert parse_json('[NaN, Infinity, 1e308, "\\u00e9", true]')[1:] == [np.inf, 1e308, "é", True]


@pytest.mark.parametrize("reason", ["a value that is no bytes", "a full disk"])
def test_a_failed_write_leaves_the_old_file(path, monkeypatch, reason):
    before = path.read_bytes()
    if reason == "a full disk":
        full = Mock(side_effect=OSError(28, "No space left on device"))
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            write_tensor_file(path, FORM, {}, {})
    else:
        with pytest.raises(TypeError, match="bytes-like"), atomic_writer(path) as file:
            file.write("text")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("folder", IsADirectoryError, r"is a folder\. Give the path of a file in it"),
        ("none/file", FileNotFoundError, "Create it before 'file' is written to it"),
    ],
)
def test_a_folder_in_place_of_a_file_and_a_missing_folder(tmp_path, name, error, match):
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=match), atomic_writer(tmp_path / name):
        pass
    assert os.listdir(tmp_path) == ["folder"]


@posix
def test_permissions_and_links(tmp_path):
    for mode, expected in ((0o666, 0o666 & ~_umask()), (0o600, 0o600)):
        write_tensor_file(tmp_path / "file", FORM, {}, {}, mode=mode)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == expected
    (tmp_path / "link").symlink_to("file")
    write_tensor_file(tmp_path / "link", FORM, {"a": 1}, {})
    assert (tmp_path / "link").is_symlink()
    assert read_tensor_file(tmp_path / "file", FORM)[0]["fields"] == {"a": 1}


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_many_writers_of_one_file(tmp_path):
    path, errors = tmp_path / "file", []

    def write(number):
        try:
            for _ in range(4):
                write_tensor_file(path, FORM, {"number": number}, TENSORS)
                assert read_tensor_file(path, FORM)[0]["fields"]["number"] in range(4)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["file"]
