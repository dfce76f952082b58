"""Collects the rows of a run, prints them as one table, and writes them where --json-rows says."""

import json
from pathlib import Path

import pytest
from interleave import Row, hardware, table

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
        path.write_text(json.dumps({"hardware": hardware(), "rows": [row.as_dict() for row in ROWS]}, indent=1) + "\n")
