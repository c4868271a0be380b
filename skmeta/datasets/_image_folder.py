"""Folders of classes of images, as few-shot data sets lie on disk."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta._validation import check_count, count, quote_some

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")
# What the parts of a split are called, under the name that `split` has for them.
_PARTS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
_LAYOUTS = (
    "Give a folder of class folders, one with the folders train, val and test, one with "
    "train.csv, val.csv and test.csv, or one with data and splits."
)

Named = tuple[Path, str]
"""An image file and its class."""


def load_image_tasks(
    folder: str | os.PathLike[str],
    *,
    split: str | None = None,
    size: int | tuple[int, int] | None = None,
    color: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Load a folder of images of many classes, such as mini-ImageNet or CIFAR-FS.

    Only the images of the split are read, each once. Four layouts are known:

    - a folder for each class, at any depth: ``cat/1.png``, ``Greek/character01/1.png``;
    - the same in folders for each part of a split: ``train/cat/1.png``, ``val/``, ``test/``;
    - files of a split with the columns ``filename`` and ``label``, as mini-ImageNet has:
      ``train.csv``, ``val.csv``, ``test.csv``, and the images beside them or in ``images/``;
    - lists of the classes of a split, as CIFAR-FS has: ``splits/bertinetto/train.txt``, and the
      classes in ``data/cat/1.png``.

    Parameters
    ----------
    folder : path
        The folder.
    split : {"train", "validation", "test"} or None, default=None
        Part of the split; None takes all images.
    size : int, tuple of two ints or None, default=None
        Height and width that images are resized to; an int stands for both. None takes images as
        they are, which must then have one size.
    color : bool, default=True
        Whether images have three channels, red, green and blue, or one, grey.
    cache : path or None, default=None
        Folder to keep the decoded images in. Later calls do not decode them again, and ``X`` is a
        memory map, of which only the pages in use take memory.

    Returns
    -------
    X : ndarray of shape (n_samples, n_channels, height, width), uint8
        The images, with values from 0 to 255. They take a byte for each value: 813 MB for the
        38,400 training images of mini-ImageNet at 84 x 84 pixels. Learners divide them by 255.
    y : ndarray of shape (n_samples,), str
        The class of each image: the name of its folder, or its label. Images are sorted by class,
        then file.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    FileNotFoundError
        If there is no such folder or image.
    ValueError
        If the split is unknown, an image cannot be read, or images differ in size and ``size`` is
        None.

    Examples
    --------
    >>> from skmeta.datasets import load_image_tasks
    >>> X, y = load_image_tasks("mini-imagenet", split="train", size=84)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (38400, 3, 84, 84)
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"folder={str(folder)!r} is not a folder. {_LAYOUTS}")
    shape = _check_size(size)
    named = sorted(_find(root, split), key=lambda item: (item[1], item[0]))
    if not named:
        for_split = "" if split is None else f" for split={split!r}"
        raise FileNotFoundError(f"folder={str(folder)!r} has no images{for_split}. {_LAYOUTS}")
    y = np.array([label for _, label in named])
    files = [file for file, _ in named]
    if cache is None:
        return _decode_all(files, shape, color, None), y
    kept = Path(cache) / f"images-{_digest(files, shape, color)}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Another process may decode the same images: each writes a file of its own.
        part = kept.with_suffix(f".{os.getpid()}.part")
        try:
            _decode_all(files, shape, color, part)
            os.replace(part, kept)
        finally:
            part.unlink(missing_ok=True)
    # "c": the pages can be written to in memory, as torch requires, but never in the file.
    return np.load(kept, mmap_mode="c"), y


# ------------------------------------------------------------------------------- which images


def _find(root: Path, split: str | None) -> Iterator[Named]:
    """Find the images of a split and their classes."""
    if split is not None and split not in (known := [n for each in _PARTS.values() for n in each]):
        raise ValueError(f"split must be one of {', '.join(known)} or None, got {split!r}.")
    layouts = (
        ({file.stem: file for file in root.glob("*.csv")}, _in_table),
        ({file.stem: file for file in sorted(root.glob("splits/**/*.txt"))}, _in_list),
        ({path.name: path for path in root.iterdir() if _has_folders(path)}, _in_folder),
    )
    for sources, read in layouts:
        parts = {
            part: [sources[n] for n in names if n in sources] for part, names in _PARTS.items()
        }
        if any(parts.values()):
            chosen = [path for part, paths in parts.items() for path in paths
                      if split is None or split in _PARTS[part]]  # fmt: skip
            if not chosen:
                have = [part for part, paths in parts.items() if paths]
                raise ValueError(
                    f"{str(root)!r} has no part {split!r}: its split has {', '.join(have)}."
                )
            for path in chosen:
                yield from read(root, path)
            return
    if split is not None:
        raise ValueError(
            f"split={split!r}, but {str(root)!r} has no split. Set split=None, and divide the "
            "classes with skmeta.tasks.split_tasks."
        )
    yield from _in_folder(root, root)


def _has_folders(path: Path) -> bool:
    """Whether a folder has folders; those of a class, which may be called train, have images."""
    return path.is_dir() and any(child.is_dir() for child in path.iterdir())


def _in_folder(root: Path, folder: Path) -> Iterator[Named]:
    """Iterate over the images below a folder; the folder that an image is in is its class."""
    for file in folder.rglob("*"):
        if file.suffix.lower() in _SUFFIXES and file.parent != folder and file.is_file():
            yield file, file.parent.relative_to(folder).as_posix()


def _in_list(root: Path, path: Path) -> Iterator[Named]:
    """Iterate over the images of the classes that a file lists."""
    for label in path.read_text(encoding="utf-8").split("\n"):
        if label := label.strip():
            folder = root / "data" / label
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"{path.name} lists the class {label!r}, but {str(folder)!r} is not a folder."
                )
            for file in folder.iterdir():
                if file.suffix.lower() in _SUFFIXES:
                    yield file, label


def _in_table(root: Path, path: Path) -> Iterator[Named]:
    """Iterate over the images that a file of a split names, with their labels."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"filename", "label"} <= rows[0].keys():
        have = ", ".join(rows[0]) if rows else "no rows"
        raise ValueError(f"{path.name} must have the columns filename and label, but has {have}.")
    missing = []
    for row in rows:
        name, label = row["filename"], row["label"]
        places = ("images", "", label, f"images/{label}", path.stem, f"{path.stem}/{label}")
        file = next((file for place in places if (file := root / place / name).is_file()), None)
        if file is None:
            missing.append(name)
        else:
            yield file, label
    if missing:
        raise FileNotFoundError(
            f"{path.name} names {count(len(missing), 'images')} that are not in {str(root)!r} or "
            f"its folder images: {quote_some(missing)}. Unpack them there."
        )


# ---------------------------------------------------------------------------------- decoding


def _check_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, Integral) else size
    try:
        height, width = (check_count(n, "size") for n in pair)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"size must be a number of pixels or a pair (height, width), got {size!r}."
        ) from error
    return height, width


def _decode_all(
    files: Sequence[Path], shape: tuple[int, int] | None, color: bool, path: Path | None
) -> np.ndarray:
    """Decode images to (n, n_channels, height, width), in memory or into a file."""
    first = _decode(files[0], shape, color)
    size = (len(files), *first.shape)
    if path is None:
        images = np.empty(size, np.uint8)
    else:
        images = np.lib.format.open_memmap(path, "w+", np.uint8, size)
    for k, file in enumerate(files):
        image = _decode(file, shape, color)
        if image.shape != first.shape:
            raise ValueError(
                f"{str(file)!r} has {image.shape[1]} x {image.shape[2]} pixels, but "
                f"{str(files[0])!r} has {first.shape[1]} x {first.shape[2]}. Pass size, the height "
                "and width that all images are resized to."
            )
        images[k] = image
    return images


def _decode(file: Path, shape: tuple[int, int] | None, color: bool) -> np.ndarray:
    """Decode an image to (n_channels, height, width), uint8."""
    pillow = import_optional("PIL.Image", "images")
    operations = import_optional("PIL.ImageOps", "images")
    try:
        with pillow.open(file) as opened:
            # Cameras write how they were held beside the pixels.
            image = operations.exif_transpose(opened).convert("RGB" if color else "L")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{str(file)!r} cannot be read as an image: {error}") from error
    if shape is not None and image.size != shape[::-1]:
        image = image.resize(shape[::-1], pillow.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.transpose(2, 0, 1) if color else pixels[None]


def _digest(files: Sequence[Path], shape: tuple[int, int] | None, color: bool) -> str:
    """Return a digest of what the decoded images depend on: files, their times, size, colour."""
    digest = hashlib.sha256(repr((shape, bool(color))).encode())
    for file in files:
        facts = file.stat()
        digest.update(repr((str(file.resolve()), facts.st_size, facts.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]
