"""The examples of the page on encoders and transforms run, one after the other."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "transforms.md").read_text()


def test_examples_run():
    shared = {}
    found = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    for number, example in enumerate(found):
        exec(compile(example, f"transforms.md example {number}", "exec"), shared)
    assert shared["spikes"].shape == (8, 100, 784)
    assert shared["scores"].shape == (8, 10)
    assert shared["values"].shape == (8, 10, 784)
    assert shared["again"].shape == (8, 1, 784)
