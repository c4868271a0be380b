"""Make the Omniglot files in skmeta/datasets/data from the original 105 x 105 images.

Set the environment variable SKMETA_DATA to a folder that has, in `omniglot/`,
`images_background.npz` and `images_evaluation.npz` (`images` of shape (n_characters, 20, 105, 105),
bool, False is ink), `class_names.json`, `vinyals_{train,val,test}.txt` and `LICENSE`.
"""

import json
import lzma
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SOURCE = Path(os.environ.get("SKMETA_DATA", "")) / "omniglot"
TARGET = Path(__file__).parents[2] / "skmeta" / "datasets" / "data"
SPLITS = {"train": "train", "validation": "val", "test": "test"}

# Share of a small pixel's area that ink must cover. Chosen by eye on contact sheets of 64 random
# drawings at 0.15 to 0.6, and by counting on 800 more: below, narrow loops fill up (at 0.3, 8 % of
# the drawings gain a hole and 5 % have strokes that merge; at 0.5, 3 % each); above, the smallest
# dots vanish (at 0.55 some drawings are blank). At 0.5 no stroke of those breaks, and the share
# of ink is that of the originals (8.0 and 8.1 %).
THRESHOLD = 0.5


def ink_shares() -> Iterator[np.ndarray]:
    """Yield the 20 drawings of each character: the shares of 28 x 28 pixels that ink covers."""
    # A line of 105 pixels, each cut into 4, is a line of 28 pixels of 15 pieces.
    average = np.kron(np.eye(28), np.ones(15)).reshape(28, 105, 4).sum(axis=2) / 15
    for part in ("background", "evaluation"):
        for character in np.load(SOURCE / f"images_{part}.npz")["images"]:
            yield average @ (~character).astype(np.float64) @ average.T


def main() -> None:
    # The margin keeps the pixels that are covered by exactly the threshold, as ink.
    small = np.stack([shares >= THRESHOLD - 1e-9 for shares in ink_shares()])
    packed = np.packbits(small.reshape(*small.shape[:2], -1), axis=-1)
    (TARGET / "omniglot.bin.xz").write_bytes(
        lzma.compress(packed.tobytes(), preset=9 | lzma.PRESET_EXTREME)
    )

    split_of = {
        line.rsplit("/", 1)[0]: split
        for split, name in SPLITS.items()
        for line in (SOURCE / f"vinyals_{name}.txt").read_text().split()
    }
    names = json.loads((SOURCE / "class_names.json").read_text())
    lines = [f"{name},{split_of[name]}\n" for name in names]
    (TARGET / "omniglot_classes.csv").write_text("class,split\n" + "".join(lines))
    shutil.copyfile(SOURCE / "LICENSE", TARGET / "LICENSE-omniglot")


if __name__ == "__main__":
    main()
