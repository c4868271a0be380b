"""The page of changes has each line once: merges of branches tend to keep two."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "doc" / "whats_new.rst"


def test_each_change_is_there_once():
    text = PAGE.read_text(encoding="utf-8")
    changes = [re.sub(r"\s+", " ", part)[:100] for part in re.split(r"(?m)^\* ", text)[1:]]
    assert len(changes) > 100
    assert sorted(changes) == sorted(set(changes))
