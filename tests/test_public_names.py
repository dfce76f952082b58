"""Every public name, method and import path of NeuroTorch 0.0.2 outside ``rl`` resolves, and takes its arguments.

The list is recorded by ``benchmarks/reference/names.py``.
"""

import importlib
import inspect
import json

import pytest
from helpers import GOLDEN

LISTED = json.loads((GOLDEN / "public_names.json").read_text())

# Arguments that are not taken, and why.
REFUSED = {}


def resolve(path):
    """The object at ``module.name``."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def inherited(path, kind):
    """What the class and its bases list, that of the class first."""
    entry = LISTED["classes"][path]
    found = {}
    for base in (path, *entry["bases"]):
        listed = LISTED["classes"].get(base, {}).get(kind, {})
        for name in listed:
            found.setdefault(name, listed[name] if isinstance(listed, dict) else None)
    return found


def refused(function, names):
    """The arguments that a function takes neither by name nor among its keywords."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return []
    taken = {p.name for p in parameters}
    return [name for name in names if name not in taken]


@pytest.mark.parametrize("path", LISTED["modules"])
def test_modules_have_their_names(path):
    module = importlib.import_module(path)
    missing = [name for name in LISTED["modules"][path] if not hasattr(module, name)]
    assert not missing


@pytest.mark.parametrize("path", LISTED["functions"])
def test_functions_take_their_arguments(path):
    assert refused(resolve(path), LISTED["functions"][path]) == REFUSED.get(path, [])


@pytest.mark.parametrize("path", LISTED["classes"])
def test_classes_have_their_members(path):
    cls = resolve(path)
    listed = [name for kind in ("methods", "properties", "attributes") for name in inherited(path, kind)]
    assert not [name for name in listed if not hasattr(cls, name)]


@pytest.mark.parametrize("path", LISTED["classes"])
def test_methods_take_their_arguments(path):
    cls = resolve(path)
    found = {
        f"{path}.{name}": refused(getattr(cls, name), arguments)
        for name, arguments in inherited(path, "methods").items()
        if hasattr(cls, name)
    }
    assert {name: arguments for name, arguments in found.items() if arguments != REFUSED.get(name, [])} == {}
