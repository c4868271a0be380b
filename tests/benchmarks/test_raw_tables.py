"""The tables of R packages: which half each is in."""

from benchmarks.measure import raw_tables


def test_a_family_of_packages_is_in_one_half_and_a_table_is_there_once():
    tables = list(raw_tables.lines().values())
    halves = {}
    for table in tables:
        halves.setdefault(table.family, set()).add(table.half)
    assert all(len(half) == 1 for half in halves.values())
    for kind in raw_tables.SIZES:
        development, report = (
            set(raw_tables.sets(kind, half)) for half in ("development", "report")
        )
        assert len(development) > 50
        assert len(report) > 50
        assert not development & report
