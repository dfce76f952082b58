"""Every public name, method and import path of NeuroTorch 0.0.2 outside ``rl`` resolves, and takes its arguments.

The list is recorded by ``benchmarks/reference/names.py``.
"""

import importlib
import inspect
import json
import pkgutil

import pytest
from helpers import GOLDEN

LISTED = json.loads((GOLDEN / "public_names.json").read_text())

# Methods with an underscore that subclasses of the learning rules override or call; why some are not there.
NO_HOOKS = {
    # Layers that only have hooks run layer by layer, not in the order of time.
    "TBPTT": {"_hidden_hook", "_output_hook"},
    "Eprop": {"_hidden_hook", "_decorate_hidden_forward"},  # runs the network itself: step by step, or natively
    "RLS": {"_output_hook", "_get_x_batch_from_buffer", "_try_put_on_device", "_put_on_cpu", "_asserts"},  # likewise
}

# Taken by methods of torch.nn.Module, whose signatures do not say so.
BY_TORCH = {"to": {"device", "non_blocking"}, "__call__": {"inputs"}}


def resolve(path):
    """The object at ``module.name``."""
    return pkgutil.resolve_name(":".join(path.rsplit(".", 1)))


def inherited(path, kind):
    """What the class and its bases list, that of the class first."""
    entry = LISTED["classes"][path]
    found = {}
    for base in (path, *entry["bases"]):
        listed = LISTED["classes"].get(base, {}).get(kind, {})
        for name in listed:
            found.setdefault(name, listed[name] if isinstance(listed, dict) else None)
    return found


def arguments_of(function):
    """Names of the arguments of a function, and whether it takes any keyword."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters}, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def refused(cls, name, arguments):
    """Those that a method takes neither itself nor, where it hands on its keywords, in a class above."""
    taken, hands_on = arguments_of(getattr(cls, name))
    for kind in cls.__mro__ if hands_on else ():
        if name in vars(kind):
            taken |= arguments_of(getattr(kind, name))[0]
    return [argument for argument in arguments if argument not in taken | BY_TORCH.get(name, set())]


@pytest.mark.parametrize("path", LISTED["modules"])
def test_modules_have_their_names(path):
    module = importlib.import_module(path)
    assert not [name for name in LISTED["modules"][path] if not hasattr(module, name)]


@pytest.mark.parametrize("path", LISTED["functions"])
def test_functions_take_their_arguments(path):
    assert set(LISTED["functions"][path]) <= arguments_of(resolve(path))[0]


@pytest.mark.parametrize("path", LISTED["classes"])
def test_classes_have_their_members(path):
    cls = resolve(path)
    listed = [name for kind in ("methods", "properties", "attributes") for name in inherited(path, kind)]
    assert not [name for name in listed if not hasattr(cls, name)]


@pytest.mark.parametrize("path", LISTED["classes"])
def test_methods_take_their_arguments(path):
    cls = resolve(path)
    found = {
        name: refused(cls, name, arguments)
        for name, arguments in inherited(path, "methods").items()
        if hasattr(cls, name)
    }
    assert {name: arguments for name, arguments in found.items() if arguments} == {}


@pytest.mark.parametrize("path", [p for p in LISTED["classes"] if ".learning_algorithms." in p])
def test_learning_rules_have_what_subclasses_override(path):
    cls = resolve(path)
    hooks = LISTED["classes"][path].get("hooks", {})
    assert {name for name in hooks if not hasattr(cls, name)} == NO_HOOKS.get(cls.__name__, set())
    assert not [name for name in hooks if hasattr(cls, name) and refused(cls, name, hooks[name])]


# Names that published scripts use and that the list does not hold: later versions, and modules that import them.
USED = [
    "neurotorch.utils.unitary_rn_normal_matrix",
    "neurotorch.utils.plot_confusion_matrix",
    "neurotorch.utils.compute_jacobian",
    "neurotorch.utils.unpack_x_hh_y",
    "neurotorch.utils.vmap",
    "neurotorch.utils.to_numpy",
    "neurotorch.transforms.ImgToSpikes",
    "neurotorch.transforms.SpyLIFEncoder",
    "neurotorch.callbacks.early_stopping.EarlyStoppingOnStagnation.get_value",
    "neurotorch.callbacks.checkpoints_manager.CheckpointManager.save_on",
    "neurotorch.trainers.trainer.CurrentTrainingState.get_null_state",
    "neurotorch.modules.layers.LinearJtoI",
    "neurotorch.modules.layers.FiringRateLayer",
    "neurotorch.modules.layers.spiking.BellecLIFLayer",
]


@pytest.mark.parametrize("path", USED)
def test_names_that_scripts_use(path):
    assert callable(pkgutil.resolve_name(path))
