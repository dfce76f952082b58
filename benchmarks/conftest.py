"""Collects the rows of a run, prints them as one table, and writes them where --json-rows says."""

from pathlib import Path

import pytest
from floors import measured
from interleave import Row, hardware, table
from rows import heading, write

ROWS: list[Row] = []


def pytest_addoption(parser):
    parser.addoption("--json-rows", type=Path, help="write the measured rows to this JSON file")
    parser.addoption("--seconds", type=float, default=2.0, help="time of each case, besides compilation")


@pytest.fixture
def rows():
    return ROWS


def pytest_terminal_summary(terminalreporter, config):
    if not ROWS:
        return
    terminalreporter.write_sep("=", "ratios: median (quartiles) over interleaved rounds")
    terminalreporter.write_line(hardware())
    terminalreporter.write_line(table(ROWS))
    path = config.getoption("--json-rows")
    if path is not None:
        arguments = " ".join(map(str, config.invocation_params.args))
        found = {"ceilings": [found.as_dict() for found in measured()], "rows": [row.as_dict() for row in ROWS]}
        write({"loops": True, **heading(f"python -m pytest {arguments}"), **found}, path)
