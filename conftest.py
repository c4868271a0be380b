"""How the tests are run: all of them on all cores, and slow ones if they are asked for."""

import os

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker takes one core. Threads of two workers would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _runs_all(config):
    """Tell whether no file, folder or test was named."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_configure(config):
    if _runs_all(config) and os.environ.get("SKMETA_TESTS") != "all":
        config.option.markexpr = config.option.markexpr or "not slow"


def pytest_xdist_auto_num_workers(config):
    # Tests that are named run in one process, so that print and a debugger work.
    return None if _runs_all(config) else 0


def pytest_ignore_collect(collection_path, config):
    """Leave out what tests import: it has no tests, and would be imported under a second name."""
    in_tests = config.rootpath / "tests" in collection_path.parents
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if in_tests and is_helper else None
