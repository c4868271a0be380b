import sys

import pytest

from skmeta._optional import import_optional
from skmeta.plotting import GroupEffectsDisplay


def test_drawing_without_matplotlib_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        GroupEffectsDisplay._make(names=["a"], estimate=[1.0]).plot()


def test_an_error_inside_the_package_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="package_that_is_not_there"):
        import_optional("broken_package", "plot")
