"""Write the saved estimators that every supported version has to read, and their predictions.

    python tests/bridges/write_saved.py

Run it with the oldest dependencies before a release; ``.ci/oldest`` makes the environment. Files of
earlier releases are kept.
"""

from pathlib import Path

import numpy as np
import saved

import skmeta
from skmeta.bridges import skops

FOLDER = Path(__file__).parent / "data"
# Together they have trees, a Gaussian process, a linear classifier, a mixed model, curves and a
# network.
NAMES = (
    "MetaFewShotClassifier of categories",
    "MetaFewShotRegressor of MAML",
    "MetaFewShotRegressor",
    "GroupedRegressor in time",
    "MetaFewShotClassifier of wide rows",
)

if __name__ == "__main__":
    for name in NAMES:
        model = saved.make(name)
        path = FOLDER / f"{skmeta.__version__}-{name.replace(' ', '-')}.skops"
        skops.dump(model, path)
        np.savez_compressed(path.with_suffix(".npz"), **saved.outputs(model))
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
