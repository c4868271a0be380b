"""What needs no torch loads none: it takes a second and hundreds of megabytes of each worker."""

import subprocess
import sys

import pytest

CODE = """
import pickle
import sys
import warnings

warnings.simplefilter("ignore")
from sklearn.linear_model import Ridge

from skmeta import GroupedClassifier, GroupedRegressor, MetaLearnedSearchCV
from skmeta.bridges import skops

X, y = [[k // 3, k] for k in range(30)], [k % 2 for k in range(30)]
models = [GroupedRegressor(0), GroupedRegressor(0, order=1), GroupedClassifier(0)]
for model in [*models, MetaLearnedSearchCV(Ridge(), n_iter=2)]:
    loaded = pickle.loads(pickle.dumps(model.fit(X, y)))
    assert (loaded.predict(X) == model.predict(X)).all()
skops.dump(models[0], sys.argv[1])
assert (skops.load(sys.argv[1]).predict(X) == models[0].predict(X)).all()
models[0].partial_fit(X[:3], y[:3]).predict(X)
assert "torch" not in sys.modules
"""


@pytest.mark.slow
def test_grouped_models_searches_and_their_files_do_without_torch(tmp_path):
    command = [sys.executable, "-c", CODE, str(tmp_path / "model.skops")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
