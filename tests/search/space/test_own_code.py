"""A user's own functions and classes are equal if their code is."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.feature_selection import f_classif
from sklearn.metrics import make_scorer
from sklearn.preprocessing import FunctionTransformer

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


def test_data_of_a_class_or_a_module_may_change():
    source = "calls = [{}]\nclass made:\n n_fits = {}\n def fit(self): return calls, self.n_fits"
    assert stable_repr(make(source)) == stable_repr(make(source, 2))


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
        "from skmeta.search.space import stable_repr\n"
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
