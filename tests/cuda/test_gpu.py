"""The operators on a real GPU against the CPU.

No machine that built this project so far had a GPU: these tests have never run. What stands in for them are the
emulated kernels (``test_emulator.py``) and the compilation for every architecture (``test_nvcc.py``).
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device, or a torch without CUDA"),
]


@pytest.fixture(autouse=True)
def needs_cuda_kernels() -> None:
    from neurotorch import _library

    if _library.build_info()["cuda"] != "built":
        pytest.skip("this neurotorch was built without CUDA")


def run(
    case: Any, device: str, *, trace: bool, weight: Tensor | None = None
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, states and gradients (of the current, states, constants and recurrent weights), on the CPU again."""
    from neurotorch.functional import MODELS, LayerCall, run_sequence

    n = len(case.initial)
    tensors = [t.detach().to(device).requires_grad_() for t in case.tensors]
    recurrent = None if case.recurrent is None else case.recurrent.detach().to(device).requires_grad_()
    constants = (*tensors[1 + n :], case.constants[-1].to(device))
    call = LayerCall(case.model, None if weight is None else weight.to(device), recurrent, constants, case.surrogate)
    out, states = run_sequence(call, tensors[0], tensors[1 : 1 + n], trace=trace)
    others = [k for k in range(n) if not trace or k != MODELS[case.model].output]
    given = case.grad_traces if trace else case.grad_final
    outputs, cotangents = [out, *(states[k] for k in others)], [case.grad_out, *(given[k] for k in others)]
    wanted = tensors if recurrent is None else [*tensors, recurrent]
    grads = torch.autograd.grad(outputs, wanted, [g.to(device) for g in cotangents])
    return out.detach().cpu(), [s.detach().cpu() for s in states], [g.cpu() for g in grads]


@pytest.mark.parametrize("neurons", [1, 33, 522, 1100, 3000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("recurrent", [False, True], ids=["independent", "recurrent"])
@pytest.mark.parametrize(
    "surrogate", ["fast_sigmoid", "phi", "boxcar", "triangle", "arctan", "super_spike", "gaussian"]
)
@pytest.mark.parametrize("model", ["lif", "spy_lif"])
def test_gpu_agrees_with_the_cpu(
    make_case: Any, model: str, surrogate: str, recurrent: bool, dtype: torch.dtype, neurons: int
) -> None:
    """The same bits, except for sums over batch and time, which the GPU adds in another order."""
    case = make_case(model, surrogate, recurrent=recurrent, dtype=dtype, neurons=neurons, batch=3, steps=25)
    n = len(case.initial)
    for trace in (False, True):
        out, states, grads = run(case, "cuda", trace=trace)
        expected_out, expected_states, expected_grads = run(case, "cpu", trace=trace)
        assert torch.equal(out, expected_out)
        assert all(torch.equal(a, b) for a, b in zip(states, expected_states, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(grads[: 1 + n], expected_grads[: 1 + n], strict=True))
        for got, expected in zip(grads[1 + n :], expected_grads[1 + n :], strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_gpu_repeats_itself(make_case: Any) -> None:
    case = make_case("spy_lif", neurons=522, batch=8, steps=50)
    first, second = run(case, "cuda", trace=False), run(case, "cuda", trace=False)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[2], second[2], strict=True))


def test_gpu_runs_on_the_current_stream(make_case: Any) -> None:
    case = make_case("lif", neurons=130, steps=30)
    expected = run(case, "cuda", trace=False)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        got = run(case, "cuda", trace=False)
    assert torch.equal(got[0], expected[0])


def test_gpu_projects_the_input(make_case: Any) -> None:
    """With forward weights the product is cuBLAS's; float64, so that no spike changes sides."""
    case = make_case("lif", dtype=torch.float64, neurons=64, steps=20)
    weight = torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / 8
    got, expected = run(case, "cuda", trace=True, weight=weight), run(case, "cpu", trace=True, weight=weight)
    assert torch.equal(got[0], expected[0])
    for a, b in zip(got[2], expected[2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_gpu_refuses_models_without_kernels() -> None:
    from neurotorch.functional import LayerCall, run_sequence

    x = torch.zeros(1, 3, 4, device="cuda")
    with pytest.raises(ValueError, match="li"):
        run_sequence(LayerCall("li", None, None, (0.9, 0.0)), x, None)
