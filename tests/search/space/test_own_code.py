"""A user's own functions and classes are equal if their code is."""

import importlib
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.feature_selection import f_classif
from sklearn.metrics import make_scorer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from skmeta._identity import candidate_key, identify, remembered_texts
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
    # What a name hides.
    "wraps of an installed function": "from functools import wraps\n"
    "from sklearn.metrics import accuracy_score\n@wraps(accuracy_score)\n"
    "def made(y, p): return accuracy_score(y, p) * {}",
    "wraps of a wraps": "from functools import wraps\nfrom numpy import mean\n@wraps(mean)\n"
    "def one(x): return x * {}\n@wraps(one)\ndef made(x): return one(x)",
    "class that wraps": "from functools import update_wrapper\nfrom numpy import mean\nclass A:\n"
    " def __init__(self, by): self.by = by; update_wrapper(self, mean)\n"
    " def __call__(self, x): return self.by * x\nmade = A({})",
    "cached wraps": "from functools import cache, wraps\nfrom numpy import mean\n@cache\n"
    "@wraps(mean)\ndef made(x): return x * {}",
    "class with the name of an installed one": "class made:\n def fit(self): return {}\n"
    "made.__module__, made.__qualname__ = 'sklearn.svm._classes', 'SVC'",
    "replaced function of a package": "import numpy\ndef made(x): return numpy.own_of_a_test(x)\n"
    "def own(x): return x + {}\nnumpy.own_of_a_test = own",
    "replaced method of a package": "from sklearn.dummy import DummyClassifier\n"
    "def own(self): return {}\nDummyClassifier.own_of_a_test = own\n"
    "def made(): return DummyClassifier()",
    # Descriptors.
    "keyword of a partial method": "from functools import partialmethod\nclass made:\n"
    " def _fit(self, by): return by\n fit = partialmethod(_fit, by={})",
    "descriptor": "class By:\n def __init__(self, by): self.by = by\n"
    " def __get__(self, one, owner): return self.by\nclass made:\n by = By({})",
    "cached property": "from functools import cached_property\nclass made:\n @cached_property\n"
    " def by(self): return {}",
    "static method": "class made:\n @staticmethod\n def fit(): return {}",
    "slot": "class A:\n __slots__ = ['by']\nmade = A()\nmade.by = {}",
    "metaclass": "class M(type):\n def __call__(cls): return {}\nclass made(metaclass=M): pass",
    "data class": "from dataclasses import dataclass, field\n@dataclass\nclass made:\n"
    " by: list = field(default_factory=lambda: [{}])",
    "member of an enumeration": "from enum import Enum\nclass made(Enum):\n A = {}",
    # Containers.
    "default factory": "from collections import defaultdict\nby = defaultdict(lambda: {})\n"
    "def made(x): return by[x]",
    "missing key": "class D(dict):\n def __missing__(self, key): return {}\nby = D()\n"
    "def made(x): return by[x]",
    "order of a dict": "by = dict(sorted({1: 2, 2: 1}.items(), key=lambda one: one[{} - 1]))\n"
    "def made(x): return list(by)",
    "mask": "import numpy\nby = numpy.ma.array([1, 2], mask=[{} == 1, False])\n"
    "def made(x): return x + by.sum()",
    "member of a set": "by = frozenset([1, ('a', {})])\ndef made(x): return x in by",
    "function in a set": "def f(): return 1\ndef g(): return {}\nby = {f, g}\n"
    "def made(x): return [one() for one in by]",
    "view of a dict": "from types import MappingProxyType\nby = MappingProxyType({'a': {}})\n"
    "def made(x): return by['a']",
    "array of objects": "import numpy\nby = numpy.array([None, lambda: {}])\n"
    "def made(x): return by[1]()",
    # Bound methods.
    "method of a dict": "get = {True: {}}.get\ndef made(x): return get(x)",
    "method of an array": "import numpy\nmade = numpy.array([1.0, {}]).__mul__",
    "method of a text": "made = 'x{}'.join",
    "method of a list": "made = [{}].index",
    # Code.
    "names of parameters": "def loss({}): return 5 * fp + fn\n"
    "def made(x): return loss(fp=1.0, fn=2.0)",
    "names of swapped parameters": "def loss(a{}, b): return a{} - b\n"
    "def made(x): return loss(**{'a1': 1, 'b': 2})",
    "handler": "def made(x):\n try:\n  y = {} / x\n except ZeroDivisionError:\n  y = 0\n return y",
    "which of two lambdas": "pair = [lambda: 1, lambda: 1.5]\nmade = pair + [pair[{} - 1]]",
    "lambda in a lambda": "made = lambda x: (lambda: {})() + x",
    "comprehension": "def made(x): return [one * {} for one in x]",
    "singledispatch": "from functools import singledispatch\n@singledispatch\n"
    "def made(x): return 0\n@made.register(int)\ndef _(x): return {}",
    "itemgetter": "from operator import itemgetter\nmade = itemgetter({})",
    "vectorized": "import numpy\nmade = numpy.vectorize(lambda x: x + {})",
    "compiled pattern": "import re\nby = re.compile('a{}')\ndef made(x): return by.match(x)",
}
# What `{}` stands for in some of them, in place of 1 and 2.
EDITS = {"names of parameters": ("fp, fn", "fn, fp")}


def make(source, value=1):
    names = {"__name__": "mine"}
    exec(source.replace("{}", str(value)), names)
    return names["made"]


@pytest.mark.parametrize("name", SOURCES)
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
def test_the_code_decides(name, wrap):
    first, second = EDITS.get(name, (1, 2))
    texts = [stable_repr(wrap(make(SOURCES[name], edit))) for edit in (first, second, first)]
    assert texts[0] == texts[2] != texts[1]
    assert identify(make(SOURCES[name], first)).unseen == ()


@pytest.fixture(autouse=True)
def packages_as_they_are():
    yield
    for owner in (np, DummyClassifier):
        if hasattr(owner, "own_of_a_test"):
            del owner.own_of_a_test


# What `made` defines, and why it is not seen.
UNSEEN = {
    "def made(x): return open('a').read()": "mine.made calls open()",
    "def help(): return eval('1')\ndef made(x): return help()": "mine.help calls eval()",
    "import os\ndef made(x): return os.environ['A']": "mine.made uses os.environ",
    "from os import environ\ndef made(x): return environ['A']": "mine.made names 'environ'",
    "def made(x):\n import os\n return os.getenv('A')": "mine.made names 'getenv'",
    "from pathlib import Path\ndef made(x): return Path(x).stat()": "mine.made uses pathlib",
    "import pandas\ndef made(x): return pandas.read_csv(x)": "mine.made names 'read_csv'",
    "import joblib\nclass made:\n def fit(self): return joblib.load('a')": "names 'load'",
    "def made(x): return globals()['a' + 'b']": "mine.made calls globals()",
    "import numpy\nmade = numpy.frompyfunc(lambda x: 1, 1, 1)": "is known by its name only",
    "made = (k for k in range(3))": "cannot be taken apart",
    "made = ['/usr/lib']": "'/usr/lib' is the path of a file or folder",
}


@pytest.mark.parametrize("source", UNSEEN)
def test_what_is_not_seen_is_said(source):
    [unseen] = identify(make(source)).unseen[:1]
    assert UNSEEN[source] in unseen


def test_nothing_is_unseen_of_estimators_of_packages():
    estimators = [make_pipeline(StandardScaler(), one) for one in (SVC(), MLPClassifier())]
    found = identify(*estimators, {"C": loguniform(1e-3, 1e3), "f": [np.log1p, np.add, f_classif]})
    assert found.unseen == ()


def test_versions_of_packages_that_code_names_count():
    source = "import joblib\ndef made(x): return joblib.hash(x)"
    assert "joblib" in identify(make(source)).versions
    assert "sklearn" in identify(1).versions
    assert "joblib" not in identify(1).versions


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


def test_candidates_that_share_an_estimator_read_it_once():
    shared, other = StandardScaler(), StandardScaler(with_mean=False)
    candidates = [{"scaler": one, "C": C} for one in (shared, other) for C in (1.0, 2.0)]
    alone = [*map(candidate_key, candidates)]
    with remembered_texts():
        assert [*map(candidate_key, candidates)] == alone
        assert len(set(alone)) == 4
        vars(shared).clear()  # it cannot be read again
        assert candidate_key(candidates[0]) == alone[0]


def test_what_is_read_once_is_said_of_each_search():
    own = FunctionTransformer(make("import joblib\ndef made(x): return joblib.hash(x)"))
    with remembered_texts():
        assert all("joblib" in identify(own).versions for _ in range(2))


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
    # Each process has hashes of its own.
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == stable_repr(make(source))
