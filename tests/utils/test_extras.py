"""Optional packages: one sentence where they are missing, their own error where they are broken."""

import pytest

from neurotorch.utils.extras import require


def test_missing_package_is_one_sentence():
    with pytest.raises(
        ImportError, match=r'^no-such is not installed, and it does things; pip install "neurotorch\[x\]"$'
    ):
        require("no_such_package.part", "no-such", "does things", "x")


def test_package_that_lacks_something_says_so_itself(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'what_it_needs'"):
        require("broken_package", "broken", "does things", "x")
    assert require("math", "math", "counts", "x").pi > 3
