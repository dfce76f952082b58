"""The Python examples of the README and of the page on learning run, and the commands exist."""

import re
from pathlib import Path

import pytest

from neurotorch.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def examples(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


EXAMPLES = examples(README)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number):
    exec(compile(EXAMPLES[number], f"README example {number}", "exec"), {})


def test_examples_of_learning_run():
    """The first one makes what the others use."""
    found = examples((ROOT / "docs" / "learning.md").read_text())
    assert found
    shared = {}
    for number, example in enumerate(found):
        exec(compile(example, f"learning.md example {number}", "exec"), shared)


def test_examples_of_data_sets_run():
    found = examples((ROOT / "docs" / "datasets.md").read_text())
    assert found
    for number, example in enumerate(found):
        exec(compile(example, f"datasets.md example {number}", "exec"), {})


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    neurotorch (\w+)", README, re.MULTILINE))))
def test_command_exists(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert command in capsys.readouterr().out


def test_make_targets_exist():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
