import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sklearn.svm import SVC

from skmeta.__main__ import main
from skmeta.search import SearchHistory, SearchPrior


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "searches.db"
    values = np.geomspace(0.01, 100, 9)
    with SearchHistory(path) as history:
        for number in range(3):
            scores = 0.9 - 0.01 * (np.log10(values) - 0.2 * number) ** 2
            params = [{"C": float(c)} for c in values]
            history.add(SVC(), params, scores, dataset=f"set {number}", scoring="accuracy")
    return path


def test_show(path, capsys):
    assert main(["history", "show", str(path)]) == 0
    assert capsys.readouterr().out.split()[-4:] == ["SVC", "3", "3", "27"]


def test_merge(path, tmp_path, capsys):
    other = tmp_path / "other.db"
    assert main(["history", "merge", str(other), str(path)]) == 0
    assert "Added 3 searches" in capsys.readouterr().out
    # What is there already stays as it is.
    assert main(["history", "merge", str(other), str(path)]) == 0
    assert "Added 0 searches" in capsys.readouterr().out
    with SearchHistory(other) as history:
        assert len(history) == 3


def test_build_and_describe(path, tmp_path, capsys):
    target = tmp_path / "svc.safetensors"
    options = ["--estimator", "SVC", "--metric", "accuracy"]
    assert main(["prior", "build", str(path), str(target), *options]) == 0
    assert SearchPrior.load(target).datasets == ("set 0", "set 1", "set 2")
    assert main(["prior", "describe", str(target)]) == 0
    assert "SVC, on set 0, set 1, set 2" in capsys.readouterr().out


def test_describe_what_ships(capsys):
    assert main(["prior", "describe"]) == 0
    names = capsys.readouterr().out.split()
    assert "SVC" in names
    assert main(["prior", "describe", "SVC"]) == 0
    assert "data sets" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["history", "show", "nowhere.db"], "does not exist"),
        (["history", "merge", "{path}", "nowhere.db"], "does not exist"),
        (["prior", "describe", "Nothing"], "No prior ships for 'Nothing'"),
        (["prior", "build", "{path}", "x", "--estimator", "NuSVC", "--metric", "r2"], "NuSVC"),
        (
            ["prior", "build", "{path}", "x", "--estimator", "SVC", "--metric", "acuracy"],
            "none is scored by 'acuracy'. Did you mean 'accuracy'? Metrics on record: accuracy.",
        ),
    ],
)
def test_what_cannot_be_done_is_told(path, capsys, monkeypatch, tmp_path, arguments, match):
    monkeypatch.chdir(tmp_path)
    assert main([argument.format(path=path) for argument in arguments]) == 1
    assert match in capsys.readouterr().err


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "skmeta", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "history" in shown
    assert "prior" in shown


def test_the_command_of_the_package_is_this_one():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["skmeta"].partition(":")
    assert getattr(importlib.import_module(module), name) is main
