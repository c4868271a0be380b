"""A user's own functions and classes are equal if their code is."""

import importlib
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.feature_selection import f_classif
from sklearn.metrics import make_scorer
from sklearn.preprocessing import FunctionTransformer

from skmeta._identity import remembered_texts
from skmeta.search.space import plain_value, stable_repr

# What `made` defines; {} is what a user edits between two searches.
SOURCES = {
    "function": "def made(x): return x + {}",
    "default": "def made(x, by={}): return x + by",
    "keyword": "def made(x, *, by={}): return x + by",
    "closure": "def make(by):\n def inner(x): return x + by\n return inner\nmade = make({})",
    "nested": "def made(x):\n def inner(): return {}\n return inner()",
    "constant of the module": "BY = {}\ndef made(x): return x + BY",
    "helper": "def help(): return {}\ndef made(x): return x + help()",
    "helper of a helper": "def deep(): return {}\ndef help(): return deep()\n"
    "def made(x): return x + help()",
    "method": "class made:\n def fit(self): return {}",
    "base class": "class base:\n def fit(self): return {}\nclass made(base): pass",
    "property": "class made:\n @property\n def fit(self): return {}",
    "class method": "class made:\n @classmethod\n def fit(cls): return {}",
    "instance": "class A:\n def __call__(self): return {}\nmade = A()",
    "attribute": "class A:\n def __init__(self, by): self.by = by\nmade = A({})",
    "bound method": "class A:\n def go(self): return {}\nmade = A().go",
    # Data that code names.
    "list of the module": "data = [{}]\ndef made(x): return x + data[0]",
    "dict of the module": "data = {'by': {}}\ndef made(x): return x + data['by']",
    "array of the module": "import numpy\ndata = numpy.full(3, {})\ndef made(x): return x + data",
    "attribute of a class": "class made:\n by = {}\n def fit(self): return self.by",
    "attribute of a base class": "class base:\n by = {}\nclass made(base): pass",
    "object of the module": "class A: pass\ndata = A()\ndata.by = {}\ndef made(x): return data.by",
    "cached helper": "from functools import cache\n@cache\ndef help(): return {}\n"
    "def made(x): return x + help()",
    "decorator": "from functools import wraps\ndef by(k):\n def outer(f):\n  @wraps(f)\n"
    "  def inner(x): return k * f(x)\n  return inner\n return outer\n@by({})\n"
    "def made(x): return x",
    "attribute of the function": "def made(x): return made.by\nmade.by = {}",
    "setter": "class made:\n by = property(lambda self: 1, lambda self, v: {})",
}


def make(source, value=1):
    names = {"__name__": "mine"}
    exec(source.replace("{}", str(value)), names)
    return names["made"]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda made: made,
        lambda made: [made],
        lambda made: partial(made, 3) if callable(made) else made,
        lambda made: make_scorer(made) if callable(made) else made,
        lambda made: FunctionTransformer(made),
    ],
    ids=["plain", "list", "partial", "scorer", "estimator"],
)
def test_the_code_decides(source, wrap):
    texts = [stable_repr(wrap(make(source, value))) for value in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]


def test_a_function_that_has_run_is_the_same():
    before, made = stable_repr(make(SOURCES["helper"])), make(SOURCES["helper"])
    for k in range(1000):  # the interpreter specialises its bytecode
        made(k)
    assert stable_repr(made) == before


def test_what_code_does_not_name_has_no_effect():
    source = "data = [{}]\nby = 1\ndef made(x): return x.data + by"
    assert stable_repr(make(source)) == stable_repr(make(source, 2))


def test_counters_that_change_meanwhile_leave_keys_as_they_are():
    made = make("class made:\n n_fits = {}\n def __call__(self): return self.n_fits")
    with remembered_texts():
        before = stable_repr(made())
        made.n_fits = 2
        assert stable_repr(made()) == before
    assert stable_repr(made()) != before


@pytest.mark.parametrize("how", ["import mine_helper", "from mine_helper import helper", "inside"])
def test_a_module_of_the_user_is_what_is_loaded(how, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "mine_helper.py").write_text("BY = 1\ndef helper(x): return x + BY\n")
    call = "helper(x)" if how.startswith("from") else "mine_helper.helper(x)"
    source = f"{how}\ndef made(x): return {call}"
    if how == "inside":
        source = "def made(x):\n from mine_helper import helper\n return helper(x)"
    unloaded = stable_repr(make(source))
    importlib.import_module("mine_helper")
    before = stable_repr(make(source))
    (tmp_path / "mine_helper.py").write_text("BY = 2\ndef helper(x): return x + BY # longer\n")
    assert stable_repr(make(source)) == before  # what is loaded runs
    importlib.reload(sys.modules["mine_helper"])
    assert stable_repr(make(source)) not in (before, unloaded)
    del sys.modules["mine_helper"]


def test_functions_that_refer_to_each_other():
    source = "def other(): return made\nclass made:\n def fit(self): return other, made, {}"
    assert stable_repr(make(source)) == stable_repr(make(source)) != stable_repr(make(source, 2))
    cells = "def make():\n def inner(): return known, {}\n known = [inner]\n return inner\n"
    assert stable_repr(make(cells + "made = make()")) != stable_repr(
        make(cells + "made = make()", 2)
    )


def test_an_object_that_refers_to_itself():
    made = make("class A: by = {}\nmade = A()")
    made.itself = made
    assert stable_repr(made).startswith("mine.A")


@pytest.mark.parametrize("value", [f_classif, BaseEstimator, np.log1p, print, len])
def test_installed_code_is_known_by_its_name(value):
    assert stable_repr(value) == plain_value(value) == f"{value.__module__}.{value.__qualname__}"


def test_it_is_the_same_in_another_process():
    source = "def made(x): return x in {'a', 'b', 'c', 'd', {}}"
    code = (
        "from skmeta._identity import stable_repr\n"
        f"names = {{'__name__': 'mine'}}\nexec({source.replace('{}', '1')!r}, names)\n"
        "print(stable_repr(names['made']))"
    )
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == stable_repr(make(source))
