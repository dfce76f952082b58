"""The Python examples of the README and of two pages run, and the commands exist."""

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from neurotorch.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def examples(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


EXAMPLES = examples(README)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number):
    exec(compile(EXAMPLES[number], f"README example {number}", "exec"), {})


@pytest.mark.parametrize("page", ["learning", "training", "figures", "transforms", "datasets"])
def test_examples_of_pages_run(page, tmp_path, monkeypatch):
    """The first one makes what the others use."""
    found = examples((ROOT / "docs" / f"{page}.md").read_text())
    assert found
    monkeypatch.chdir(tmp_path)
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: save(self, *args, **{**kwargs, "dpi": 20}))
    shared = {}
    for number, example in enumerate(found):
        exec(compile(example, f"{page}.md example {number}", "exec"), shared)


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
