"""Images of tasks: what each name does, seeds, and functions of others."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import center_of_mass

from skmeta._backend import Augmentation, Rows, TaskTensors

SHAPE = (2, 6, 6)
N_CLASSES = 3


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_tasks(n_tasks=4, shape=SHAPE):
    def rows(n, seed):
        y = (torch.arange(n) % N_CLASSES).expand(n_tasks, -1)
        return Rows(draw(n_tasks, n, *shape, seed=seed), y, torch.ones(n_tasks, n))

    return TaskTensors(rows(6, 1), rows(9, 2))


@pytest.mark.parametrize("n_classes", [N_CLASSES, None])
@pytest.mark.parametrize(("name", "n"), [("mirror", 2), ("rotations", 4)])
def test_classes_are_mirrored_and_turned_as_a_whole(name, n, n_classes):
    tasks = make_tasks(20)
    changed = Augmentation(name, SHAPE, n_classes)(tasks, range(20))
    seen = set()
    for i in range(20):
        kinds = {}
        for before, after in zip(tasks, changed, strict=True):
            assert torch.equal(before.y, after.y)
            assert torch.equal(before.w, after.w)
            for x, new, y in zip(before.x[i], after.x[i], before.y[i].tolist(), strict=True):
                images = [x, x.flip(-1)] if n == 2 else [x.rot90(k, (-2, -1)) for k in range(4)]
                kind = next(k for k, image in enumerate(images) if torch.equal(new, image))
                assert kinds.setdefault(y if n_classes else 0, kind) == kind
        seen.add(tuple(sorted(kinds.items())))
    assert len(seen) > n // 2  # Tasks differ.


def test_affine_images_move_each_by_themselves_within_bounds():
    blob = torch.zeros(1, 1, 1, 28, 28)
    blob[..., 8:12, 16:20] = 1
    x = blob.expand(1, 200, 1, 28, 28)
    ones = torch.ones(1, 200)
    tasks = TaskTensors(*[Rows(x, ones.long(), ones)] * 2)
    (support, query) = Augmentation("affine", (1, 28, 28))(tasks, [0])
    images = torch.cat([support.x, query.x], 1)[0, :, 0]
    assert images.min() >= 0
    assert images.max() <= 1 + 1e-6
    assert 0.7 < images.sum((1, 2)).mean() / 16 < 1.4
    centres = np.array([center_of_mass(image.numpy()) for image in images])
    assert len(np.unique(centres.round(6), axis=0)) == 400
    # The blob is 4.5 above and 4 right of the middle.
    assert np.abs(centres - (9.5, 17.5)).max() < 6
    assert np.abs(centres.mean(0) - (9.5, 17.5)).max() < 0.5


@pytest.mark.parametrize(
    "augment", ["affine", "mirror", "rotations", ["rotations", "affine"], F.dropout]
)
def test_a_task_depends_on_its_own_seed_alone(augment):
    tasks = make_tasks(4)
    augmentation = Augmentation(augment, SHAPE, N_CLASSES)
    before = torch.random.get_rng_state()
    whole = augmentation(tasks, [11, 12, 13, 14])
    assert torch.equal(torch.random.get_rng_state(), before)
    part = TaskTensors(*(Rows(*(v[2:] for v in side)) for side in tasks))
    for found, expected in zip(augmentation(part, [13, 14]), whole, strict=True):
        assert torch.equal(found.x, expected.x[2:])
    other = augmentation(tasks, [21, 22, 23, 24])
    assert not torch.equal(other.query.x, whole.query.x)


def test_a_function_gets_the_images_of_one_task():
    shapes = []

    def negative(x):
        shapes.append(tuple(x.shape))
        return -x

    tasks = make_tasks(2)
    changed = Augmentation(negative, SHAPE)(tasks, [0, 1])
    assert shapes == [(15, *SHAPE)] * 2
    assert torch.equal(changed.support.x, -tasks.support.x)
    assert torch.equal(changed.query.x, -tasks.query.x)


def test_a_function_that_returns_something_else_is_refused():
    with pytest.raises(ValueError, match=r"must return a tensor of shape \(15, 2, 6, 6\).*\(3,"):
        Augmentation(lambda x: x[:3], SHAPE)(make_tasks(), range(4))
    with pytest.raises(ValueError, match="returned NoneType"):
        Augmentation(lambda x: None, SHAPE)(make_tasks(), range(4))


def test_what_cannot_be_is_refused_before_the_work():
    with pytest.raises(ValueError, match=r"augment='blur' is unknown\. Use 'affine'"):
        Augmentation(["mirror", "blur"], SHAPE)
    with pytest.raises(ValueError, match=r"a row has the shape \(4,\)"):
        Augmentation("mirror", (4,))
    with pytest.raises(ValueError, match="needs square images"):
        Augmentation("rotations", (1, 4, 5))
