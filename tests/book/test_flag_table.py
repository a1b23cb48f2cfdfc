"""The how-to's tables of quality flags."""

from specnb.book import flag_table
from specnb.observing.flags import Quality


def test_every_bit_stands_once_under_what_it_means():
    forbid, note = flag_table.markdown().split("**Take note:**")
    rows = [line.split(" | ") for part in (forbid, note) for line in part.splitlines()]
    found = [int(row[0].removeprefix("| ")) for row in rows if row[0].lstrip("| ").isdigit()]
    assert sorted(found) == [int(flag) for flag in Quality]
    assert "| 524288 | not a star | " in forbid
    assert "| 2097152 | resampled | " in note


def test_every_row_says_a_cause_and_what_to_do():
    for line in flag_table.markdown().splitlines():
        if line.startswith("| ") and "bit" not in line:
            cause, remedy = line.rstrip("*| ").split(". *", 1)
            assert len(cause.split(" | ")[2]) > 10
            assert len(remedy) > 10
