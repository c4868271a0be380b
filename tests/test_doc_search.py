"""The code blocks of the guide to searches run, in order."""

import re
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

GUIDE = Path(__file__).parent.parent / "doc" / "searches.rst"


def code_blocks(text):
    for block in re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text):
        yield re.sub(r"^    ", "", block, flags=re.M)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_guide_runs(tmp_path, monkeypatch):
    pytest.importorskip("optuna").logging.set_verbosity(30)
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = [b for b in code_blocks(GUIDE.read_text(encoding="utf-8")) if "://" not in b]
    assert len(blocks) > 10
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert names["longer"].n_resumed_ == 4
    assert len(names["history"]) > 5
