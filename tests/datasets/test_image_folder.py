"""Folders of images in the layouts that few-shot data sets have on disk."""

import csv

import numpy as np
import pytest
from PIL import Image

from skmeta import MetaFewShotClassifier
from skmeta.datasets import load_image_tasks
from skmeta.learners import ProtoNet

# Tasks of the meta-training are learned again on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")


def write(path, value=None, size=(6, 5), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    if value is not None:
        pixels[:] = value
    Image.fromarray(pixels).save(path)
    return pixels


def classes_of(y):
    return dict(zip(*np.unique(y, return_counts=True), strict=True))


def make_parts(root):
    for k, (part, label) in enumerate([("train", "cat"), ("train", "dog"), ("val", "emu")]):
        for n in range(2):
            write(root / part / label / f"{n}.png", seed=10 * k + n)


def make_table(root):
    for part, labels in (("train", ("n01", "n02")), ("val", ("n03",)), ("test", ("n04",))):
        with (root / f"{part}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["filename", "label"])
            for label in labels:
                for n in range(2):
                    write(root / "images" / f"{label}_{n}.png", seed=n)
                    rows.writerow([f"{label}_{n}.png", label])


def make_list(root):
    for part, labels in (("train", ("apple", "train")), ("val", ("bee",)), ("test", ("cup",))):
        lists = root / "splits" / "bertinetto" / f"{part}.txt"
        lists.parent.mkdir(parents=True, exist_ok=True)
        lists.write_text("\n".join(labels) + "\n")
        for label in labels:
            write(root / "data" / label / "0.png")


def test_pixels_are_those_of_the_files_in_order_of_class_and_file(tmp_path):
    expected = [write(tmp_path / name, seed=k) for k, name in
                enumerate(["ant/0.png", "ant/1.PNG", "Greek/alpha/7.bmp"])]  # fmt: skip
    (tmp_path / "ant" / "notes.txt").write_text("no image")
    X, y = load_image_tasks(tmp_path)
    assert (X.dtype, X.shape) == (np.uint8, (3, 3, 6, 5))
    assert y.tolist() == ["Greek/alpha", "ant", "ant"]
    np.testing.assert_array_equal(X[[1, 2, 0]], np.moveaxis(np.stack(expected), -1, 1))
    grey, _ = load_image_tasks(tmp_path, color=False)
    assert grey.shape == (3, 1, 6, 5)
    luma = np.stack(expected)[[2, 0, 1]] @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey[:, 0], luma, atol=1)


@pytest.mark.parametrize(
    ("make", "train", "validation", "n_all"),
    [
        (make_parts, {"cat": 2, "dog": 2}, {"emu": 2}, 6),
        (make_table, {"n01": 2, "n02": 2}, {"n03": 2}, 8),
        (make_list, {"apple": 1, "train": 1}, {"bee": 1}, 4),
    ],
)
def test_each_layout_has_its_parts(make, train, validation, n_all, tmp_path):
    make(tmp_path)
    assert classes_of(load_image_tasks(tmp_path, split="train")[1]) == train
    for name in ("validation", "val"):
        assert classes_of(load_image_tasks(tmp_path, split=name)[1]) == validation
    assert len(load_image_tasks(tmp_path)[1]) == n_all


def test_a_class_may_be_called_train(tmp_path):
    for label in ("bus", "train"):
        write(tmp_path / label / "0.png")
    assert set(load_image_tasks(tmp_path)[1]) == {"bus", "train"}
    with pytest.raises(ValueError, match=r"split='train', but .* has no split. Set split=None"):
        load_image_tasks(tmp_path, split="train")


def test_images_are_resized_and_turned_as_the_camera_was_held(tmp_path):
    write(tmp_path / "a" / "0.png", value=(255, 0, 7), size=(40, 20))
    write(tmp_path / "b" / "1.png", value=(0, 9, 255), size=(8, 8))
    X, _ = load_image_tasks(tmp_path, size=(4, 12))
    assert X.shape == (2, 3, 4, 12)
    np.testing.assert_array_equal(X, np.array([(255, 0, 7), (0, 9, 255)])[..., None, None] + 0 * X)
    with pytest.raises(ValueError, match=r"1.png' has 8 x 8 pixels, but .* has 40 x 20. Pass size"):
        load_image_tasks(tmp_path)

    image, exif = Image.fromarray(np.zeros((4, 6), np.uint8)), Image.Exif()
    exif[0x0112] = 6  # held upright: rows are columns
    path = tmp_path / "turned" / "c" / "0.jpg"
    path.parent.mkdir(parents=True)
    image.save(path, exif=exif)
    assert load_image_tasks(tmp_path / "turned")[0].shape == (1, 3, 6, 4)


def test_a_cache_keeps_what_was_decoded_until_a_file_changes(tmp_path, monkeypatch):
    folder, cache = tmp_path / "images", tmp_path / "cache"
    for k in range(3):
        write(folder / "ab"[k % 2] / f"{k}.png", seed=k)
    X, y = load_image_tasks(folder)
    first, labels = load_image_tasks(folder, cache=cache)
    np.testing.assert_array_equal(first, X)
    np.testing.assert_array_equal(labels, y)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)  # It would be called to decode anew.
        again, _ = load_image_tasks(folder, cache=cache)
    assert isinstance(again, np.memmap)
    np.testing.assert_array_equal(again, X)
    again[:] = 0  # in memory alone
    write(folder / "a" / "0.png", value=3)
    changed, _ = load_image_tasks(folder, cache=cache)
    np.testing.assert_array_equal(changed[0], 3)
    np.testing.assert_array_equal(changed[1:], X[1:])
    assert load_image_tasks(folder, cache=cache, color=False)[0].shape[1] == 1
    assert len(list(cache.iterdir())) == 3
    (folder / "a" / "0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        load_image_tasks(folder, cache=cache)
    assert len(list(cache.iterdir())) == 3


def test_a_learner_takes_bytes_as_shares_of_255(tmp_path):
    for k in range(12):
        for n in range(6):
            write(tmp_path / "images" / f"class{k:02}" / f"{n}.png", size=(8, 8), seed=k * 10 + n)
    X, y = load_image_tasks(tmp_path / "images", cache=tmp_path / "cache")
    learner = ProtoNet(
        backbone="conv4", backbone_params={"n_channels": 4}, n_way=3, n_shot=2, n_query=2,
        n_iterations=3, validation=0, random_state=0,
    )  # fmt: skip
    of_bytes = learner.fit(X, y).prior_
    of_shares = learner.fit(X / np.float32(255), y).prior_
    assert float(of_bytes.tensors["scaler.x_scale"]) == 255
    for name, value in of_shares.tensors.items():
        if name.startswith("body."):
            np.testing.assert_allclose(of_bytes.tensors[name], value, rtol=1e-3, atol=1e-5)
    new = MetaFewShotClassifier(of_bytes).fit(X[:12], y[:12]).predict_proba(X[:9])
    shares = X[:12] / np.float32(255)
    same = MetaFewShotClassifier(of_shares).fit(shares, y[:12]).predict_proba(shares[:9])
    np.testing.assert_allclose(new, same, atol=1e-2)
    # Black and white images of 0 and 1 stay as they are.
    assert float(learner.fit((X > 99).astype(np.uint8), y).prior_.tensors["scaler.x_scale"]) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"size": 0}, ValueError, r"size must be a number of pixels or a pair .* got 0"),
        ({"size": (3,)}, ValueError, r"size must be .* got \(3,\)"),
        ({"split": "tran"}, ValueError, "split must be one of train, validation, val, valid, test"),
        ({"split": "test"}, ValueError, r"has no part 'test': its split has train, validation"),
    ],
)
def test_bad_arguments(arguments, error, match, tmp_path):
    make_parts(tmp_path)
    with pytest.raises(error, match=match):
        load_image_tasks(tmp_path, **arguments)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder\. Give a folder of class"):
        load_image_tasks(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="has no images"):
        load_image_tasks(tmp_path)
    make_table(tmp_path)
    (tmp_path / "images" / "n03_1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"val.csv names 1 image.* 'n03_1.png'"):
        load_image_tasks(tmp_path, split="val")
    (tmp_path / "test.csv").write_text("file,class\na,b\n")
    with pytest.raises(ValueError, match="must have the columns filename and label, but has file"):
        load_image_tasks(tmp_path, split="test")
