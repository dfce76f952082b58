"""What torch expects of an operator: tracing, compilation, autocast, functional transforms, and clear refusals."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from cases import (
    GRADIENT_TOLERANCE,
    LAYOUTS,
    MODELS,
    READOUTS,
    SPIKING,
    VALUE_TOLERANCE,
    Case,
    assert_equal_bits,
    differentiable,
    fused,
    make_case,
    oracle,
    outcome,
    recurrences,
)
from helpers import assert_near
from networks import LayerSpec, NetworkCase, differentiate, make_network
from torch._dynamo.backends.registry import lookup_backend
from torch.library import opcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from neurotorch.functional import MODELS as OPERATORS
from neurotorch.functional import li, lif
from neurotorch.functional._models import SURROGATES

VARIANTS = [(model, recurrent) for model in MODELS for recurrent in recurrences(model)]
EVERY_VARIANT = pytest.mark.parametrize(("model", "recurrent"), VARIANTS)

# ---- the raw operators


def raw_calls(case: Case, layout: str = "contiguous", recompute_every: int = 0, every: int = 1):
    """Forward and backward operator with their arguments; the backward one is asked for every k-th gradient."""
    arrange = LAYOUTS[layout]
    weight, recurrent = (None if w is None else arrange(w) for w in (case.weight, case.recurrent_weight))
    x, info = arrange(case.x), OPERATORS[case.model]
    traces = ((1 << info.operator_states) - 1) & ~(1 << info.output_state)
    # Behind the states that callers see there may be others, which hold nothing from step to step.
    hidden = info.operator_states - len(info.states)
    state = [arrange(s) for s in case.state] + [x.new_zeros(x.shape[0], case.grads[0].shape[2])] * hidden
    names = [*case.names[: 3 + len(info.states)], *["gamma"] * hidden, *info.constants]
    numbers = (SURROGATES[case.surrogate], 0)
    forward = (x, weight, recurrent, state, case.constants, *numbers, traces, recompute_every)
    operators = [getattr(torch.ops.neurotorch, f"{case.model}_{kind}").default for kind in ("forward", "backward")]
    out, _, held, checkpoints = operators[0](*forward)
    by_state = dict(zip([k for k in range(info.operator_states) if traces >> k & 1], held, strict=True))
    grads = [arrange(g) for g in case.grads[1:]] + [None] * hidden
    backward = (
        arrange(case.grads[0]),
        grads,
        [None] * len(state),
        x,
        weight,
        recurrent,
        state,
        case.constants,
        None if recompute_every else out,
        [None if recompute_every else by_state.get(k) for k in range(len(state))],
        checkpoints,
        *numbers,
        recompute_every,
        sum(1 << k for k, name in enumerate(names) if name in differentiable(case) and k % every == 0),
    )
    return list(zip(operators, (forward, backward), strict=True))


@pytest.mark.parametrize("layout", ["contiguous", "time first"])
@pytest.mark.parametrize("recompute_every", [0, 3])
@EVERY_VARIANT
def test_raw_operators(model, recurrent, recompute_every, layout):
    for operator, arguments in raw_calls(make_case(model, recurrent=recurrent), layout, recompute_every):
        opcheck(operator, arguments)


@pytest.mark.parametrize("model", MODELS)
def test_raw_operators_without_weight(model):
    for operator, arguments in raw_calls(make_case(model, weight=False)):
        opcheck(operator, arguments)


@pytest.mark.parametrize("model", MODELS)
def test_raw_operators_with_few_gradients(model):
    for operator, arguments in raw_calls(make_case(model), every=3):
        opcheck(operator, arguments)


class Recorder(TorchDispatchMode):
    """Arguments of every neurotorch operator that runs, by operator."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "neurotorch":
            self.calls[function] = tree_map(lambda a: a.detach() if isinstance(a, torch.Tensor) else a, args)
        return function(*args, **(kwargs or {}))


def closed_loop(**options) -> NetworkCase:
    return make_network(
        [LayerSpec("spy_lif_lpf", 20, recurrent=True), LayerSpec("li", 4, input_activation="tanh")],
        [LayerSpec("lif", 9)],
        [LayerSpec("linear", 6, activation="sigmoid"), LayerSpec("spy_li", 5)],
        sizes=[6, 5],
        **options,
    )


@pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
@pytest.mark.parametrize("layout", ["contiguous", "time first"])
def test_raw_network_operators(layout, trace):
    with Recorder() as recorder:
        differentiate(closed_loop(trace=trace), NetworkCase.run, layout=layout)
    assert {operator._opname for operator in recorder.calls} == {"network_forward", "network_backward"}
    for operator, arguments in recorder.calls.items():
        opcheck(operator, arguments)


# ---- compilation


def compiled(run, **options):
    torch._dynamo.reset()
    return torch.compile(run, fullgraph=True, **options)


def same_as_eager(case: Case, run) -> None:
    """The gradients of both runs are equal, too."""
    trace = case.grads[-1].dim() == 3 and case.model != "linear"
    actual, expected = outcome(case, run), outcome(case, fused(trace))
    for key, value in expected.per_sample.items():
        assert_near(actual.per_sample[key], value, 1e-12, key)
    for key, grad in expected.grads.items():
        assert_near(actual.grads[key], grad, 1e-12, f"grad {key}")


@pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
@EVERY_VARIANT
def test_compiles_into_one_graph(model, recurrent, trace):
    case = make_case(model, recurrent=recurrent, trace=trace)

    def run(tensors):
        return case.having(tensors).run(trace=trace)

    whole = compiled(run, backend="aot_eager")
    same_as_eager(case, lambda c: whole(c.tensors))


@pytest.mark.parametrize(
    "model", ["spy_lif_lpf", *(pytest.param(m, marks=pytest.mark.slow) for m in MODELS if m != "spy_lif_lpf")]
)
def test_compiles_with_inductor(model):
    case = make_case(model, recurrent=model not in READOUTS)

    def run(tensors):
        out, state = case.having({**tensors, "x": tensors["x"] * 2}).run()
        return torch.tanh(out) * 3, state

    whole = compiled(run)
    actual, expected = outcome(case, lambda c: whole(c.tensors)), outcome(case, lambda c: run(c.tensors))
    for key, value in expected.per_sample.items():
        assert_near(actual.per_sample[key], value, 1e-12, key)
    for key, grad in expected.grads.items():
        assert_near(actual.grads[key], grad, 1e-12, f"grad {key}")


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_closed_loop_compiles_into_one_graph(backend):
    case = closed_loop()
    names = list(case.tensors)

    def run(*tensors):
        return replace(case, tensors=dict(zip(names, tensors, strict=True))).run()

    whole = compiled(run, backend=backend)
    actual, actual_grads = differentiate(case, lambda c: whole(*c.tensors.values()))
    expected, expected_grads = differentiate(case, NetworkCase.run)
    for key, value in expected.items():
        assert_near(actual[key], value, 1e-12, key)
    for key, grad in expected_grads.items():
        assert_near(actual_grads[key], grad, 1e-12, f"grad {key}")


def test_one_graph_serves_every_length_and_batch():
    sizes = []  # of the call during which each graph was made

    def backend(graph, inputs):
        sizes.append((batch, steps))
        return lookup_backend("aot_eager")(graph, inputs)

    weight = make_case("lif").weight.requires_grad_()
    whole = compiled(lambda x: lif(x, weight, alpha=0.5)[0], backend=backend, dynamic=True)
    for batch, steps in ((3, 8), (4, 9), (2, 17)):
        x = make_case("lif", batch, steps).x
        (grad,), (expected,) = (
            torch.autograd.grad(run(x).sum(), weight) for run in (whole, lambda x: lif(x, weight, alpha=0.5)[0])
        )
        torch.testing.assert_close(grad, expected)
    assert set(sizes) == {(3, 8)}


# ---- autocast


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@EVERY_VARIANT
def test_half_precision_inputs_under_autocast(model, recurrent, half):
    """Computed in the dtype of the weights; the gradient of the input comes back in the input's."""
    case = make_case(model, recurrent=recurrent, dtype=torch.float32)
    expected = outcome(case, oracle(), dtype=torch.float64)
    case.x = case.x.to(half)  # the grid of the case is exact in half precision
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = outcome(case, fused())
    assert actual.out.dtype == torch.float32
    assert_near(actual.out, expected.out, VALUE_TOLERANCE[torch.float32], "out")
    for name, grad in expected.grads.items():
        assert actual.grads[name] is None or actual.grads[name].dtype == case.tensors[name].dtype
        tolerance = 2e-2 if name == "x" else GRADIENT_TOLERANCE[torch.float32]
        assert_near(actual.grads[name], torch.zeros_like(case.tensors[name]) if grad is None else grad, tolerance, name)


def test_half_precision_outputs_of_torch_layers_under_autocast():
    """The usual mixed-precision chain: a torch layer, which autocast runs in bfloat16, feeds ours."""
    encoder, weight = torch.nn.Linear(5, 6), torch.randn(6, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        current = encoder(torch.randn(3, 8, 5))
        assert current.dtype == torch.bfloat16
        out, _ = lif(current, weight, alpha=0.9)
        out.sum().backward()
    assert out.dtype == torch.float32
    assert weight.grad.any()
    assert encoder.weight.grad.any()


def test_raw_operator_under_autocast():
    case = make_case("lif", dtype=torch.float32)
    (forward, arguments), _ = raw_calls(case)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, *_ = forward(case.x.bfloat16(), *arguments[1:])
    assert torch.equal(out, case.run()[0])


def test_closed_loop_under_autocast():
    case = closed_loop(dtype=torch.float32)
    expected = case.run()["out.0"]
    case.tensors["x.0"] = case.tensors["x.0"].bfloat16().requires_grad_()
    case.tensors["weight.3"].requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = case.run()["out.0"]
    assert out.dtype == torch.float32
    assert out.shape == expected.shape
    out.sum().backward()
    assert case.tensors["x.0"].grad.dtype == torch.bfloat16
    assert case.tensors["weight.3"].grad.any()


# ---- functional transforms


def loss_of(case: Case, names: list[str]):
    """The case's loss as a function of the named tensors."""

    def loss(*tensors):
        out, states = case.having({**case.tensors, **dict(zip(names, tensors, strict=True))}).run()
        return sum((o * g[: o.shape[0]]).sum() for o, g in zip((out, *states), case.grads, strict=True))

    return loss


@EVERY_VARIANT
def test_func_grad(model, recurrent):
    case = make_case(model, recurrent=recurrent)
    names = differentiable(case)
    tensors = [case.tensors[name] for name in names]
    grads = torch.func.grad(loss_of(case, names), argnums=tuple(range(len(names))))(*tensors)
    expected = outcome(case, fused()).grads
    for name, grad in zip(names, grads, strict=True):
        assert_near(grad, expected[name], 1e-12, name)


@EVERY_VARIANT
def test_vmap_over_inputs(model, recurrent):
    """Also with the mapped dimension in the middle, and over initial states and constants."""
    case = make_case(model, recurrent=recurrent, per_neuron=False)
    many = torch.stack([case.x, -case.x, case.x / 2])

    def run(x, state, first_constant):
        part = case.having(case.tensors)
        part.x, part.state, part.constants = x, list(state), [first_constant, *case.constants[1:]]
        return part.run()

    constant = case.constants[0]
    states = [torch.stack([s, s / 2, s * 0]) for s in case.state]
    constants = torch.stack([constant, constant / 2, constant / 3])
    for arguments, dims in (
        ((many, case.state, constant), (0, None, None)),
        ((many.movedim(0, 2), case.state, constant), (2, None, None)),
        ((case.x, states, constant), (None, 0, None)) if states else ((many, case.state, constant), (0, None, None)),
        ((many, case.state, constants), (0, None, 0)),
    ):
        out, finals = torch.func.vmap(run, in_dims=dims)(*arguments)
        for k in range(3):
            one = [
                a if d is None else [s[k] for s in a] if isinstance(a, list) else a.select(d, k)
                for a, d in zip(arguments, dims, strict=True)
            ]
            expected, expected_finals = run(*one)
            assert_near(out[k], expected, 1e-12, "out")
            for a, e in zip(finals, expected_finals, strict=True):
                assert_near(a[k], e, 1e-12, "state")


@EVERY_VARIANT
def test_per_sample_gradients(model, recurrent):
    """vmap over grad: the gradient of every sample for itself; together they are the gradient of the batch."""
    case = make_case(model, recurrent=recurrent)
    names = [name for name in ("weight", "recurrent_weight", case.names[-1]) if name in differentiable(case)]

    def loss(tensors, x, state, grads):
        part = case.having({**case.tensors, **dict(zip(names, tensors, strict=True))})
        part.x, part.state = x[None], [s[None] for s in state]
        out, finals = part.run()
        return sum((o[0] * g).sum() for o, g in zip((out, *finals), grads, strict=True))

    tensors = [case.tensors[name] for name in names]
    mapped = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0, 0))
    grads = mapped(tensors, case.x, case.state, case.grads)
    for b in range(3):
        own = torch.func.grad(loss)(tensors, case.x[b], [s[b] for s in case.state], [g[b] for g in case.grads])
        for name, grad, expected in zip(names, grads, own, strict=True):
            assert_near(grad[b], expected, 1e-12, name)
    expected = outcome(case, fused()).grads
    for name, grad in zip(names, grads, strict=True):
        assert_near(grad.sum(0), expected[name], 1e-12, name)


def test_vmap_over_weights():
    case = make_case("lif", recurrent=True)
    weights = torch.stack([case.weight, case.weight * 2])
    out = torch.func.vmap(lambda w: case.having({**case.tensors, "weight": w}).run()[0])(weights)
    for k, weight in enumerate(weights):
        assert_near(out[k], case.having({**case.tensors, "weight": weight}).run()[0], 1e-12, "out")


def test_closed_loop_refuses_vmap():
    case = closed_loop()
    many = torch.stack([case.tensors["x.0"]] * 2)
    with pytest.raises(RuntimeError, match="vmap"):
        torch.func.vmap(lambda x: replace(case, tensors={**case.tensors, "x.0": x}).run()["out.0"])(many)


# ---- refusals: never a silent zero


@EVERY_VARIANT
def test_forward_mode_raises(model, recurrent):
    case = make_case(model, recurrent=recurrent)
    with pytest.raises((RuntimeError, NotImplementedError), match="(?i)jvp|forward"):
        torch.func.jvp(lambda x: case.having({**case.tensors, "x": x}).run()[0], (case.x,), (case.x,))


@EVERY_VARIANT
def test_second_derivative_raises(model, recurrent):
    case = make_case(model, recurrent=recurrent)
    x = case.x.requires_grad_()
    (grad,) = torch.autograd.grad(case.run()[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        grad.sum().backward()


def test_second_backward_of_one_graph_raises():
    case = make_case("lif")
    case.weight.requires_grad_()
    loss = case.run()[0].sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_retained_graph_serves_twice():
    case = make_case("lif")
    case.weight.requires_grad_()
    loss = case.run()[0].sum()
    first, second = (torch.autograd.grad(loss, case.weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("model", SPIKING)
def test_constants_without_gradient_are_refused(model):
    case = make_case(model)
    case.constants[case.names[-len(case.constants) :].index("gamma")].requires_grad_()
    with pytest.raises(ValueError, match="^gamma"):
        case.run()


def test_closed_loop_refuses_forward_mode():
    case = closed_loop()
    x = case.tensors["x.0"]
    with pytest.raises((RuntimeError, NotImplementedError), match="(?i)jvp|forward"):
        torch.func.jvp(lambda x: replace(case, tensors={**case.tensors, "x.0": x}).run()["out.0"], (x,), (x,))


def test_closed_loop_refuses_constants_without_gradient():
    case = closed_loop()
    case.tensors["gamma.0"].requires_grad_()
    with pytest.raises(ValueError, match="gamma"):
        case.run()


def test_changing_the_output_in_place_is_noticed():
    """With a learned decay the output is kept for the backward pass."""
    kappa = torch.tensor(0.5, requires_grad=True)
    out, _ = li(torch.randn(2, 5, 3), kappa=kappa)
    with torch.no_grad():
        out.add_(1.0)
    with pytest.raises(RuntimeError, match="inplace"):
        out.sum().backward()


def test_changing_the_input_in_place_is_noticed():
    x, weight = torch.randn(2, 5, 3), torch.randn(3, 4, requires_grad=True)
    out, _ = li(x, weight, kappa=0.5)
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="inplace"):
        out.sum().backward()


def test_unsupported_dtypes_are_refused():
    for dtype in (torch.int64, torch.complex64, torch.float16):
        with pytest.raises((TypeError, ValueError), match=r"^(x|weight)\b"):
            lif(torch.ones(1, 2, 3).to(dtype), torch.ones(3, 3).to(dtype), alpha=0.5)


def test_threads_of_the_caller_do_not_disturb_each_other():
    cases = [make_case("spy_lif", 4, 10, 30, 70, recurrent=True, seed=seed) for seed in range(8)]
    serial = [outcome(case, fused()).per_sample for case in cases]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda case: outcome(case, fused()).per_sample, cases))
    for one, other in zip(serial, parallel, strict=True):
        assert_equal_bits(other, one)


def test_raw_backward_refuses_what_it_would_read_past():
    """A missing trace, checkpoint or a wrong shape is an error, not a crash."""
    for recompute_every, spoil, name in (
        (0, {9: [None, None]}, "traces"),
        (0, {0: torch.zeros(3, 8, 4, dtype=torch.float64)}, "grad_out"),
        (0, {1: [torch.zeros(3, 4, dtype=torch.float64), None]}, "grad_state"),
        (3, {10: []}, "checkpoints"),
    ):
        _, (operator, arguments) = raw_calls(make_case("lif"), recompute_every=recompute_every)
        arguments = list(arguments)
        for at, value in spoil.items():
            arguments[at] = value
        with pytest.raises(ValueError, match=name):
            operator(*arguments)
