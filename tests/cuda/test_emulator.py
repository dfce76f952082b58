"""The CUDA kernels, run on the CPU by the emulator in ``tests/emulator``, against the CPU operators.

Both add in the same order with the same roundings, so on x86-64-v3 and later the bits are the same. The baseline CPU
kernels have no fused multiply-add and agree within a tolerance, and so do gradients through recurrent weights where the
support of the surrogate is compact: the CPU then adds for each neuron inside by itself, in another order.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

NATIVE = Path(__file__).parents[1] / "native" / "_build"
SURROGATES = ["fast_sigmoid", "phi", "boxcar", "triangle", "arctan", "super_spike", "gaussian"]
MODELS = ["lif", "spy_lif"]


Result = tuple[Tensor, list[Tensor], list[Tensor]]  # output, states (final ones, or the traces), gradients


@pytest.fixture(scope="module")
def tolerance() -> dict[torch.dtype, float]:
    """Relative and absolute difference allowed between the emulated kernels and the CPU operators."""
    from neurotorch import _library

    fused = _library.build_info()["isa"] != "baseline" or platform.machine() == "aarch64"
    return {torch.float32: 0.0 if fused else 1e-4, torch.float64: 0.0 if fused else 1e-12}


def on_cpu(case: Any, *, trace: bool) -> Result:
    from neurotorch.functional import MODELS, LayerCall, run_sequence

    tensors = [t.detach().requires_grad_() for t in case.tensors]
    n = len(case.initial)
    call = LayerCall(case.model, None, case.recurrent, (*tensors[1 + n :], case.constants[-1]), case.surrogate)
    out, states = run_sequence(call, tensors[0], tensors[1 : 1 + n], trace=trace)
    # The trace of the output state is the output: its gradient goes there.
    others = [k for k in range(n) if not trace or k != MODELS[case.model].output]
    given = case.grad_traces if trace else case.grad_final
    outputs, cotangents = [out, *(states[k] for k in others)], [case.grad_out, *(given[k] for k in others)]
    grads = torch.autograd.grad(outputs, tensors, cotangents)
    return out.detach(), [s.detach() for s in states], list(grads)


def arrays(tensors: list[Tensor]) -> list[np.ndarray]:
    return [t.numpy() for t in tensors]


def emulate(emulator: ModuleType, case: Any, *, trace: bool, order: int = 0, seed: int = 1) -> Result:
    """The same as :func:`on_cpu` with the CUDA kernels."""
    from neurotorch.functional import MODELS

    n = len(case.initial)
    output = MODELS[case.model].output
    recurrent = None if case.recurrent is None else case.recurrent.numpy()
    constants, initial = torch.stack(case.constants).numpy(), arrays(case.initial)
    surrogate = SURROGATES.index(case.surrogate)
    options = {"order": order, "seed": seed}
    # Without traces to return, only those that the adjoint needs: all but that of the spikes.
    traced = (1 << n) - 1 if trace else (1 << n) - 1 & ~(1 << output)
    out, final, traces = emulator.layer_forward(
        case.model, surrogate, case.current.numpy(), recurrent, constants, initial, traced=traced, **options
    )
    saved = [None if k == output else t for k, t in enumerate(traces)]
    grad_traces = [g if trace and k != output else None for k, g in enumerate(arrays(case.grad_traces))]
    grad_final = [np.zeros_like(g) if trace else g for g in arrays(case.grad_final)]
    grad_current, grad_initial, grad_constants = emulator.layer_backward(
        case.model,
        surrogate,
        recurrent,
        constants,
        initial,
        saved,
        case.grad_out.numpy(),
        grad_traces,
        grad_final,
        **options,
    )
    summed = grad_constants.astype(np.float64).sum(axis=0).astype(grad_constants.dtype)
    grads = [grad_current, *grad_initial, *summed[:-1]]
    return (
        torch.from_numpy(out),
        list(map(torch.from_numpy, traces if trace else final)),
        list(map(torch.from_numpy, grads)),
    )


COMPACT = ("phi", "boxcar", "triangle")
ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-12}


def assert_same(
    got: Result,
    expected: Result,
    tolerance: dict[torch.dtype, float] | None = None,
    gradients: dict[torch.dtype, float] | None = None,
) -> None:
    """The same bits, or a difference below tolerance times the largest entry (gradients grow backwards in time).

    `gradients`: another tolerance for these.
    """
    for name, ours, theirs in zip(("out", "states", "grads"), got, expected, strict=True):
        chosen = gradients if name == "grads" and gradients is not None else tolerance
        allowed = 0.0 if chosen is None else chosen[expected[0].dtype]
        for k, (a, b) in enumerate(zip(*([t] if isinstance(t, Tensor) else t for t in (ours, theirs)), strict=True)):
            atol, where = allowed * float(b.abs().max()), f"{name}[{k}]"
            torch.testing.assert_close(a, b, rtol=0, atol=atol, msg=lambda text, at=where: f"{at}: {text}")


@pytest.mark.parametrize("neurons", [1, 33, 130, 522, 1100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("recurrent", [False, True], ids=["independent", "recurrent"])
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("model", MODELS)
def test_emulator_has_the_bits_of_the_cpu(
    emulator: ModuleType,
    make_case: Any,
    tolerance: dict[torch.dtype, float],
    model: str,
    surrogate: str,
    recurrent: bool,
    dtype: torch.dtype,
    neurons: int,
) -> None:
    shape = {"batch": 2, "steps": 12} if neurons < 500 else {"batch": 1, "steps": 6}
    case = make_case(model, surrogate, recurrent=recurrent, dtype=dtype, neurons=neurons, **shape)
    for trace in (False, True):
        expected = on_cpu(case, trace=trace)
        if neurons > 1:
            assert 0.02 < expected[0].mean() < 0.6, "the case should have spikes, and not only spikes"
            spikes = len(case.initial)  # the initial spikes have a gradient through the recurrent weights alone
            assert all(g.abs().max() > 0 for k, g in enumerate(expected[2]) if recurrent or k != spikes)
        looser = ROUNDING if recurrent and surrogate in COMPACT else None
        assert_same(emulate(emulator, case, trace=trace), expected, tolerance, looser)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 64), (1, 2, 65), (5, 7, 31)], ids=str)
def test_emulator_takes_any_shape(
    emulator: ModuleType, make_case: Any, tolerance: dict[torch.dtype, float], model: str, shape: tuple[int, int, int]
) -> None:
    batch, steps, neurons = shape
    case = make_case(model, batch=batch, steps=steps, neurons=neurons)
    assert_same(emulate(emulator, case, trace=False), on_cpu(case, trace=False), tolerance)


def test_emulator_takes_a_time_first_input(
    emulator: ModuleType, make_case: Any, tolerance: dict[torch.dtype, float]
) -> None:
    case = make_case("lif", batch=4, neurons=40)
    expected = on_cpu(case, trace=True)
    case.current = case.current.transpose(0, 1).contiguous().transpose(0, 1)
    assert_same(emulate(emulator, case, trace=True), expected, tolerance)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("neurons", [130, 1100])
def test_emulator_result_does_not_depend_on_the_order_of_threads(
    emulator: ModuleType, make_case: Any, model: str, neurons: int
) -> None:
    case = make_case(model, neurons=neurons, steps=5)
    expected = emulate(emulator, case, trace=True)
    for order, seed in ((1, 1), (2, 1), (2, 2)):
        assert_same(emulate(emulator, case, trace=True, order=order, seed=seed), expected)


def test_emulator_result_does_not_depend_on_the_rest_of_the_batch(emulator: ModuleType, make_case: Any) -> None:
    case = make_case("spy_lif", batch=3, neurons=70)
    out, states, grads = emulate(emulator, case, trace=False)
    one = make_case("spy_lif", batch=3, neurons=70)
    for name in ("current", "grad_out"):
        setattr(one, name, getattr(one, name)[1:2])
    one.initial, one.grad_final = ([t[1:2] for t in ts] for ts in (one.initial, one.grad_final))
    one_out, one_states, one_grads = emulate(emulator, one, trace=False)
    n = 1 + len(states)  # gradients of the constants are sums over the batch
    assert_same((one_out, one_states, one_grads[:n]), (out[1:2], [s[1:2] for s in states], [g[1:2] for g in grads[:n]]))


def test_emulator_refuses_models_without_kernels(emulator: ModuleType) -> None:
    assert [emulator.supported(m) for m in ("lif", "spy_lif", "lif_lpf", "li")] == [True, True, False, False]
    row = np.zeros((1, 3), np.float32)
    with pytest.raises(ValueError, match="no kernel for lif_lpf"):
        emulator.layer_forward(
            "lif_lpf", 0, np.zeros((1, 2, 3), np.float32), None, np.ones((4, 3), np.float32), [row, row, row]
        )


# ---- the emulator itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [0, 1, 2])
def test_emulator_warp_collectives(emulator: ModuleType, order: int) -> None:
    i = np.arange(64)
    lane, base = i % 32, i // 32 * 32
    expected = np.stack(
        [
            (base + 5) * 3,
            np.where(lane < 2, i, i - 2),
            np.where(lane % 8 + 3 >= 8, i, i + 3),
            i ^ 7,
            np.full(64, 0xAAAAAAAA - (1 << 32)),
            base == 32,
            base == 0,
            32 * base + 496,
            -base,
            np.where(lane < 16, i ^ 1, i ^ 2),
            (0x11111111 << (i % 4)) - np.where(i % 4 == 3, 1 << 32, 0),
            np.full(64, 22),
        ],
        axis=1,
    )
    np.testing.assert_array_equal(np.reshape(emulator.warp_operations(order), (64, 12)), expected)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("exited_barrier", r"divergent barrier: 17 threads wait at .*self_tests\.h:\d+, 15 have exited"),
        ("divergent_barrier", r"divergent barrier: thread 0 waits at .*self_tests\.h:\d+, thread 17 at line \d+"),
        ("missing_lane", r"mask ffffffff names lane 3, which has exited or does not exist \(.*self_tests\.h:\d+\)"),
        ("foreign_lane", r"lane 0 of warp 0 reads lane 20, which is not in mask 0000ffff \(.*self_tests\.h:\d+\)"),
        ("not_in_mask", r"thread 0 is not in its own mask fffffffe \(.*self_tests\.h:\d+\)"),
        ("deadlock", r"deadlock: 32 threads wait in warp collectives \(thread 0 at .*self_tests\.h:\d+"),
        ("large_block", r"invalid launch configuration"),
    ],
)
def test_emulator_reports(emulator: ModuleType, fault: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        emulator.fault(fault)


# ---- under sanitizers ----------------------------------------------------------------------------------------


def sanitized(sanitizer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = NATIVE / f"sanitized_{sanitizer}"
    if not program.exists():
        pytest.skip(
            f"{program.name} is not built: this compiler has no -fsanitize={sanitizer}, or tests/native was not built"
        )
    environment = {**os.environ, "TSAN_OPTIONS": "exitcode=66", "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=300, env=environment, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("order", ["0", "1", "2"])
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_emulator_kernels_are_clean_under(sanitizer: str, order: str) -> None:
    result = sanitized(sanitizer, "kernels", order)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("barrier", range(1, 9))
def test_emulator_finds_the_race_of_a_missing_barrier(barrier: int) -> None:
    """Four steps of the forward kernel have eight barriers: each one is needed."""
    result = sanitized("thread", "race", str(barrier))
    assert result.returncode != 0
    assert "ThreadSanitizer" in result.stderr
    assert "sparse_row.cuh" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sanitizer", "task", "message"),
    [("thread", "blocks", "data race .*self_tests.h"), ("address", "overflow", "heap-buffer-overflow")],
)
def test_emulator_sanitizers_find(sanitizer: str, task: str, message: str) -> None:
    result = sanitized(sanitizer, task)
    assert result.returncode != 0
    assert re.search(message, result.stderr), result.stderr
