"""Comparisons: what is run, what is kept, and what the summary says of it."""

import argparse

import pytest

from benchmarks.lib.comparison import compare, read_results


def options(path, **changes):
    given = {"sizes": (5, 9), "draws": 2, "methods": None, "results": path, "summary": False}
    return argparse.Namespace(**given | changes)


@pytest.fixture
def runs():
    return []


@pytest.fixture
def compare_two(tmp_path, runs, capsys):
    """Compare two methods on two sets, of which one is too small for 9 rows."""

    def score(model, name, size, seed):
        if (name, size) == ("small", 9):
            return None
        runs.append((model, name, size, seed))
        return {"error": {"worse": 2.0, "ours": 1.0}[model.split()[0]] + seed}

    def call(**changes):
        methods = {m: lambda name, m=m: f"{m} {name}" for m in ("worse", "ours")}
        given = options(tmp_path / "results.jsonl.gz", **changes)
        compare(given, methods, ["large", "small"], score, ["error", "geometric"], "ours")
        return capsys.readouterr().out.splitlines()

    return call


def test_runs_go_on_where_they_stopped(compare_two, runs, tmp_path):
    compare_two(draws=1)
    assert len(runs) == 6
    lines = compare_two()
    assert len(runs) == 12
    assert len(set(runs)) == 12
    assert compare_two(summary=True) == lines
    assert len(runs) == 12
    done = read_results(tmp_path / "results.jsonl.gz")
    assert done["worse", "large", 9] == [{"error": 2.0}, {"error": 3.0}]
    assert ("ours", "small", 9) not in done


def test_a_summary_has_means_ranks_and_differences(compare_two):
    _, title, _, worse, ours, _, second_title, *_ = compare_two()
    assert title == "5 rows: 2 sets, 2 draws"
    assert " ".join(worse.split()) == "worse 2.5000 2.5000 2.00 -1.0000 [-1.0000, -1.0000]"
    assert " ".join(ours.split()) == "ours 1.5000 1.5000 1.00"
    assert second_title == "9 rows: 1 sets, 2 draws"
