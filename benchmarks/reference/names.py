"""Lists the public names of NeuroTorch 0.0.2, in a process of its own: it has the import name of this library.

    python names.py > ../../tests/golden/public_names.json

walks the modules of the installed package outside ``rl`` and prints one JSON object, of names only:

* ``modules``: for each module the names that it defines, or, where it is a package, also those that it exports. Names
  that its imports leave in a module are not listed;
* ``functions``: ``module.name`` and the names of its arguments;
* ``classes``: ``module.name``, its bases in the package, and what it defines itself: methods with the names of their
  arguments, properties and attributes. ``hooks`` are methods with one underscore, which subclasses override.

``*args`` and ``**kwargs`` are no names of arguments. The environment is that of ``requirements.txt``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import types
import typing
from typing import Any

from torchvision_stub import replace_torchvision

NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def arguments(function: Any) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind in NAMED]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def members(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {"methods": {}, "properties": [], "attributes": [], "hooks": {}}
    for name, value in vars(cls).items():
        plain = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if name == "__init__" or name == "__call__" or (name == "forward" and inspect.isfunction(plain)):
            found["methods"][name] = arguments(plain)
        elif name.startswith("__") or name.startswith(f"_{cls.__name__}__"):
            continue
        elif inspect.isfunction(plain):
            found["hooks" if name.startswith("_") else "methods"][name] = arguments(plain)
        elif name.startswith("_"):
            continue
        elif isinstance(value, property):
            found["properties"].append(name)
        elif not isinstance(plain, types.MethodDescriptorType):
            found["attributes"].append(name)
    return {"bases": [full_name(b) for b in cls.__mro__[1:] if is_own(b)], **{k: v for k, v in found.items() if v}}


def is_own(value: Any) -> bool:
    module = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
    return isinstance(module, str) and module.split(".")[0] == "neurotorch"


def full_name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def to_text(listed: dict[str, Any]) -> str:
    """JSON with one line for each module, function and class."""
    groups = []
    for group, entries in listed.items():
        lines = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
        groups.append(f"  {json.dumps(group)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(groups) + "\n}"


def main() -> None:
    replace_torchvision()
    import neurotorch

    assert neurotorch.__version__ == "0.0.2", f"expected NeuroTorch 0.0.2, got {neurotorch.__version__}"
    names = [m.name for m in pkgutil.walk_packages(neurotorch.__path__, "neurotorch.", onerror=lambda _: None)]
    names = ["neurotorch", *(n for n in names if n.split(".")[1] != "rl")]
    listed: dict[str, Any] = {"modules": {}, "functions": {}, "classes": {}}
    for name in names:
        module = importlib.import_module(name)
        own = []
        for key, value in vars(module).items():
            if key.startswith("_"):
                continue
            here = getattr(value, "__module__", None) == name
            # Constants, and aliases made of parts of typing, do not say where they come from.
            alias = getattr(value, "__module__", None) == "typing" and value not in vars(typing).values()
            constant = not inspect.ismodule(value) and not hasattr(value, "__module__")
            if here or alias or constant or (is_own(value) and hasattr(module, "__path__")):
                own.append(key)
            if here and inspect.isfunction(value):
                listed["functions"][f"{name}.{key}"] = arguments(value)
            elif here and inspect.isclass(value):
                listed["classes"][f"{name}.{key}"] = members(value)
        listed["modules"][name] = sorted(own)
    print(to_text(listed))


if __name__ == "__main__":
    main()
