"""The command ``neurotorch``: one parser, a function for every subcommand."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence

from neurotorch._version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments after the name of the program; those of the process when omitted.

    Returns
    -------
    int
        The exit status: 0 when the subcommand succeeded.
    """
    from neurotorch.utils.export import add_export_parser

    parser = argparse.ArgumentParser(
        prog="neurotorch",
        description="Fit networks of spiking and rate neurons to recordings, and train them to classify, on fused "
        "kernels.",
    )
    parser.add_argument("--version", action="version", version=f"neurotorch {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_fitting_parsers(commands)
    add_export_parser(commands)
    info = commands.add_parser("info", help="what was built, what was chosen and why")
    info.set_defaults(run=_print_info)
    parsed = parser.parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


def _add_fitting_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``fit``, ``predict`` and ``classify``.

    Each sets ``run``, a function of the parsed arguments that returns the status.
    """
    try:
        from neurotorch.classification.command import add_classify_parser
        from neurotorch.fitting.command import add_fit_parser, add_predict_parser
    except ModuleNotFoundError as error:
        parts = ("neurotorch.fitting", "neurotorch.classification")
        if error.name not in {name for part in parts for name in (part, f"{part}.command")}:
            raise
        return
    add_fit_parser(commands)
    add_predict_parser(commands)
    add_classify_parser(commands)


def _print_info(parsed: argparse.Namespace) -> int:
    """Print everything that a report of a problem should contain; status 1 when the library cannot be used."""
    import torch

    from neurotorch import _library

    if torch.version.cuda:
        flavour = f"CUDA {torch.version.cuda} build"
    else:
        flavour = f"ROCm {torch.version.hip} build" if torch.version.hip else "CPU build"
    _print_row("neurotorch", __version__)
    _print_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    _print_row("torch", f"{torch.__version__} ({flavour})")
    try:
        _print_row("library", str(_library.load()))
        built = _library.build_info()
    except (ImportError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    _print_row("compiler", built["compiler"])
    _print_row("ISA built", built["isa_built"])
    _print_row("ISA chosen", f"{built['isa']}: {built['isa_reason']}")
    _print_row("NEUROTORCH_ISA", os.environ.get("NEUROTORCH_ISA") or "not set")
    _print_row("CUDA", built["cuda"])
    _print_row("CUDA devices", ", ".join(_cuda_devices()) or "none")
    _print_row("models", built["models"])
    _print_row("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors")
    return 0


def _print_row(name: str, value: str) -> None:
    print(f"{name:<16}{value}")


def _cuda_devices() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
