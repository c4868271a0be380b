"""Omniglot, bundled with 28 x 28 pixels and one bit per pixel."""

import lzma
from importlib.resources import files
from typing import Any

import numpy as np
from sklearn.utils import Bunch

N_CLASSES, N_BACKGROUND, N_DRAWERS, SIDE = 1623, 964, 20, 28
SUBSETS = ("background", "evaluation", "all", "train", "validation", "trainval", "test")


def load_omniglot(
    *,
    subset: str = "background",
    rotations: bool = False,
    return_X_y: bool = False,
    dtype: Any = np.float32,
) -> Any:
    """Load Omniglot: 1,623 handwritten characters, each drawn by 20 people (classification).

    The images come with the package; nothing is downloaded.

    ==============   =================
    Classes                      1,623
    Samples                     32,460
    Dimensionality                 784
    Features                   0 and 1
    ==============   =================

    Parameters
    ----------
    subset : str, default="background"
        Which characters to load. By the split of Lake et al. [1]_, which divides alphabets:
        "background" (964) or "evaluation" (659). By the split of Vinyals et al. [2]_, which most
        papers use: "train" (1,028), "validation" (172), both together as "trainval" (1,200), or
        "test" (423). Or "all".
    rotations : bool, default=False
        Add each class rotated counter-clockwise by 90, 180 and 270 degrees, as further classes.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    dtype : dtype, default=numpy.float32
        Type of `data` and `images`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (n_samples, 784)
            The images, row by row; 1 is ink. Sorted by class, then drawer.
        target : ndarray of shape (n_samples,), int64
            The class, from 0 to 1622: the background set, then the evaluation set. The number does
            not depend on `subset`. A class rotated `k` times by 90 degrees has number
            ``target + 1623 * k``.
        target_names : ndarray of shape (n_classes,)
            Names of the classes in ``np.unique(target)``, such as ``"Angelic/character01"``, or
            ``"Angelic/character01/rot090"`` where rotated.
        images : ndarray of shape (n_samples, 28, 28)
            The images.
        alphabet : ndarray of shape (n_samples,)
            Name of the alphabet.
        drawer : ndarray of shape (n_samples,), int64
            Who drew it, from 0 to 19: one of the 20 people that drew this alphabet.
        feature_names : list of str
            ``"pixel_0_0"`` to ``"pixel_27_27"``, row and column.
        DESCR : str
            Description of the data set.

    (data, target) : tuple if `return_X_y` is True
        The first two of these.

    References
    ----------
    .. [1] Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic
       program induction", Science 350, 2015.
    .. [2] Vinyals et al., "Matching Networks for One Shot Learning", NeurIPS 2016.

    Examples
    --------
    >>> from skmeta.datasets import load_omniglot
    >>> omniglot = load_omniglot(subset="validation")
    >>> omniglot.data.shape
    (3440, 784)
    >>> print(omniglot.target[0], omniglot.target_names[0])
    26 Armenian/character01
    """
    names, split = _read_classes()
    index = _select(subset, split)
    turns = range(4 if rotations else 1)
    images = _read_images()[index]
    images = np.concatenate([np.rot90(images, k, axes=(2, 3)) for k in turns])
    images = images.reshape(-1, SIDE, SIDE).astype(dtype)
    X = images.reshape(len(images), -1)
    y = np.repeat(np.concatenate([index + N_CLASSES * k for k in turns]), N_DRAWERS)
    feature_names = [f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE)]

    if return_X_y:
        return X, y
    alphabet = np.array([name.split("/")[0] for name in names])
    return Bunch(
        data=X,
        target=y,
        target_names=np.array(
            [names[i] + (f"/rot{90 * k:03}" if k else "") for k in turns for i in index]
        ),
        feature_names=feature_names,
        images=images,
        alphabet=np.tile(np.repeat(alphabet[index], N_DRAWERS), len(turns)),
        drawer=np.tile(np.arange(N_DRAWERS), len(index) * len(turns)),
        DESCR=_data_file("omniglot.rst").read_text(encoding="utf-8"),
    )


def _data_file(name: str) -> Any:
    return files("skmeta.datasets").joinpath("data", name)


def _read_images() -> np.ndarray:
    """All images, uint8 (1623, 20, 28, 28)."""
    packed = np.frombuffer(lzma.decompress(_data_file("omniglot.bin.xz").read_bytes()), np.uint8)
    return np.unpackbits(packed).reshape(N_CLASSES, N_DRAWERS, SIDE, SIDE)


def _read_classes() -> tuple[list[str], np.ndarray]:
    """Name of each class, and its part of the split of Vinyals et al."""
    lines = _data_file("omniglot_classes.csv").read_text(encoding="utf-8").split()[1:]
    names, split = zip(*(line.split(",") for line in lines), strict=True)
    return list(names), np.array(split)


def _select(subset: str, split: np.ndarray) -> np.ndarray:
    """Numbers of the classes in a subset, ascending."""
    if subset not in SUBSETS:
        raise ValueError(f"subset must be one of {', '.join(map(repr, SUBSETS))}, got {subset!r}.")
    background = np.arange(len(split)) < N_BACKGROUND
    if subset in ("background", "evaluation"):
        chosen = background == (subset == "background")
    elif subset == "all":
        chosen = np.ones(len(split), dtype=bool)
    else:
        chosen = np.isin(split, ("train", "validation") if subset == "trainval" else subset)
    return np.flatnonzero(chosen)
