"""The closed loop against the oracle, its gradients through the feedback included."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from cases import ACTIVATIONS, LAYOUTS, MODELS, READOUTS, SPIKING, SURROGATES, WITHOUT_GRADIENT, assert_equal_bits
from eager import ORACLES
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import (
    SAFE_MARGIN,
    LayerSpec,
    NetworkCase,
    assert_network_matches_oracle,
    differentiate,
    make_network,
)

from neurotorch.functional import MODELS as OPERATORS
from neurotorch.functional import LayerCall, run_network, run_sequence

# Input, hidden and output layers, sizes of the inputs, and which output each input reads in the closed loop.
SHAPES = {
    "one spiking layer": ([], [], [LayerSpec("spy_lif_lpf", 9, recurrent=True)], [9], [0]),
    "one integrator": ([], [], [LayerSpec("li", 6, activation="tanh")], [6], [0]),
    "one layer, feedback off": ([], [], [LayerSpec("lif", 5, recurrent=True)], [7], [-1]),
    "one rate layer": ([], [], [LayerSpec("wilson_cowan", 9, recurrent=True, activation="sigmoid")], [9], [0]),
    "one lagging rate layer": (
        [],
        [],
        [LayerSpec("wilson_cowan_curbd", 37, recurrent=True, activation="tanh")],
        [37],
        [0],
    ),
    "activated inputs": (
        [
            LayerSpec("linear_rnn", 4, recurrent=True, input_activation="sigmoid"),
            LayerSpec("lif", 9, input_activation="identity"),
        ],
        [LayerSpec("linear_rnn", 12, activation="tanh", input_activation="relu")],
        [LayerSpec("li", 5, input_activation="tanh"), LayerSpec("linear", 5, activation="tanh")],
        [5, 3],
        [1, -1],
    ),
    "one layer with an activated input": (
        [],
        [],
        [LayerSpec("linear_rnn", 6, recurrent=True, activation="tanh", input_activation="sigmoid")],
        [6],
        [0],
    ),
    "rates": (
        [LayerSpec("wilson_cowan", 17, recurrent=True, activation="tanh"), LayerSpec("linear_rnn", 3, recurrent=True)],
        [LayerSpec("wilson_cowan_curbd", 12, recurrent=True, activation="relu")],
        [LayerSpec("linear_rnn", 4, recurrent=True, activation="tanh"), LayerSpec("wilson_cowan", 5)],
        [4, 5],
        [0, 1],
    ),
    "encoder and readout": (
        [LayerSpec("spy_lif_lpf", 37, recurrent=True)],
        [],
        [LayerSpec("linear", 6, activation="sigmoid")],
        [6],
        [0],
    ),
    "a chain": (
        [LayerSpec("lif", 17, recurrent=True, surrogate="phi")],
        [
            LayerSpec("spy_lif", 130, recurrent=True),
            LayerSpec("spy_li", 8, activation="relu"),
            LayerSpec("lif_lpf", 9, recurrent=True),
        ],
        [LayerSpec("linear", 5, activation="tanh")],
        [5],
        [0],
    ),
    "two inputs, two outputs": (
        [LayerSpec("li", 3), LayerSpec("spy_lif", 12, recurrent=True)],
        [LayerSpec("li", 6, activation="sigmoid")],
        [LayerSpec("li", 4), LayerSpec("linear", 5)],
        [4, 5],
        [0, 1],
    ),
    "crossed feedback": (
        [LayerSpec("lif", 8, recurrent=True), LayerSpec("spy_lif_lpf", 7)],
        [],
        [LayerSpec("spy_li", 4, activation="tanh"), LayerSpec("lif_lpf", 5, recurrent=True)],
        [5, 4],
        [1, 0],
    ),
    "more inputs than outputs": (
        [LayerSpec("lif", 8), LayerSpec("lif_lpf", 7), LayerSpec("linear", 3, activation="relu")],
        [],
        [LayerSpec("li", 4)],
        [4, 3, 4],
        [0, -1, 0],
    ),
    "adaptation": (
        [LayerSpec("alif", 17, recurrent=True)],
        [LayerSpec("spy_alif", 40, recurrent=True, surrogate="triangle"), LayerSpec("bellec_lif", 9, recurrent=True)],
        [LayerSpec("alif_lpf", 5, recurrent=True, surrogate="phi")],
        [5],
        [0],
    ),
    "two variables": (
        [LayerSpec("izhikevich", 21, recurrent=True, surrogate="gaussian")],
        [LayerSpec("spy_alif_lpf", 8, recurrent=True, surrogate="arctan")],
        [LayerSpec("linear", 6, activation="tanh")],
        [6],
        [0],
    ),
    "more outputs than inputs": (
        [LayerSpec("spy_lif_lpf", 11, recurrent=True)],
        [LayerSpec("lif", 20)],
        [LayerSpec("linear", 2), LayerSpec("li", 4), LayerSpec("spy_lif", 3, recurrent=True)],
        [4],
        [1],
    ),
}


def network(shape: str, **options) -> NetworkCase:
    inputs, hidden, outputs, sizes, feedback = SHAPES[shape]
    return make_network(inputs, hidden, outputs, sizes=sizes, feedback=feedback, **options)


def safe(shape: str, **options) -> NetworkCase:
    """The first of many random networks that stays clear of its thresholds, so that float32 spikes are the oracle's."""
    cases = (network(shape, seed=100 * seed, **options) for seed in range(50))
    return next(case for case in cases if options.get("dtype") != torch.float32 or case.margin() > SAFE_MARGIN)


@pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matches_oracle(shape, dtype, trace):
    assert_network_matches_oracle(safe(shape, dtype=dtype, trace=trace))


def test_activated_input_of_a_sequence():
    call = LayerCall("li", torch.eye(4, dtype=torch.float64), None, (0.5, 0.0), input_activation="relu")
    x = torch.randn(2, 5, 2, dtype=torch.float64)
    expected = run_sequence(call._replace(input_activation=None), torch.cat([x.relu(), x], 2))
    actual = run_sequence(call, x)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1][0], expected[1][0])


@pytest.mark.parametrize(("steps", "foresight"), [(1, 0), (1, 1), (1, 2), (1, 12), (5, 0), (5, 1), (5, 9)])
@pytest.mark.parametrize("shape", ["encoder and readout", "two inputs, two outputs"])
def test_any_length(shape, steps, foresight):
    case = network(shape, steps=steps, foresight=foresight)
    assert_network_matches_oracle(case)
    assert case.run()["out.0"].shape[1] == steps + max(0, foresight - 1)


@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("shape", ["encoder and readout", "two inputs, two outputs", "more inputs than outputs"])
def test_teacher(shape, weight, dtype):
    assert_network_matches_oracle(safe(shape, teacher_weight=weight, dtype=dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", ["encoder and readout", "crossed feedback"])
def test_any_memory_layout(shape, layout):
    assert_network_matches_oracle(network(shape, trace=True), layout=layout)


@st.composite
def networks(draw):
    def layer(neurons=None):
        model = draw(st.sampled_from(MODELS))
        spiking = model in SPIKING
        return LayerSpec(
            model,
            neurons or draw(st.sampled_from([1, 2, 5, 16, 33, 70])),
            recurrent=model not in READOUTS and draw(st.booleans()),
            surrogate=draw(st.sampled_from(SURROGATES)) if spiking else "fast_sigmoid",
            # The activity of wilson_cowan may explode in closed loop unless the activation bounds it.
            activation="identity" if spiking else draw(st.sampled_from(ACTIVATIONS[2 * (model == "wilson_cowan") :])),
            input_activation=draw(st.sampled_from([None, None, None, *ACTIVATIONS])),
        )

    sizes = draw(st.lists(st.sampled_from([1, 3, 8, 17]), min_size=1, max_size=3))
    outputs = [layer() for _ in range(draw(st.integers(1, 3)))]
    feedback = []
    for k in range(len(sizes)):
        feedback.append(draw(st.integers(-1, len(outputs) - 1)))
        if feedback[k] >= 0:
            sizes[k] = outputs[feedback[k]].neurons
    inputs = [layer() for _ in sizes]
    hidden = [layer() for _ in range(draw(st.integers(0, 2)))]
    if len(sizes) == len(outputs) == 1 and draw(st.booleans()):
        inputs = hidden = []
    case = make_network(
        inputs,
        hidden,
        outputs,
        sizes=sizes,
        feedback=feedback,
        foresight=draw(st.integers(0, 8)),
        batch=draw(st.integers(1, 5)),
        steps=draw(st.integers(1, 6)),
        dtype=draw(st.sampled_from([torch.float32, torch.float64])),
        trace=draw(st.booleans()),
        teacher_weight=draw(st.sampled_from([0.0, 0.0, 0.5])),
        seed=draw(st.integers(0, 1000)),
    )
    assume(case.tensors["x.0"].dtype == torch.float64 or case.margin() > SAFE_MARGIN)
    names = [key for key in case.tensors if key.split(".")[0] not in WITHOUT_GRADIENT]
    return case, {
        "wanted": draw(st.lists(st.sampled_from(names), min_size=1, unique=True)),
        "read": draw(st.lists(st.sampled_from(sorted(case.grads)), min_size=1, unique=True)),
    }


@settings(max_examples=60)
@given(networks())
def test_any_network(drawn):
    case, options = drawn
    assert_network_matches_oracle(case, **options)


@pytest.mark.slow
@settings(max_examples=1500)
@given(networks())
def test_any_network_at_length(drawn):
    case, options = drawn
    assert_network_matches_oracle(case, **options)


def test_tied_weights():
    """One matrix in two layers, and as forward and recurrent weights of one: its gradient is the sum."""
    case = make_network(
        [LayerSpec("lif_lpf", 6, recurrent=True)],
        [LayerSpec("spy_lif", 6, recurrent=True)],
        [LayerSpec("linear", 6)],
        sizes=[6],
    )
    case.tensors["recurrent.0"] = case.tensors["weight.1"] = case.tensors["recurrent.1"] = case.tensors["weight.0"]

    def tied(run):
        def with_one(c):
            shared = dict.fromkeys(("recurrent.0", "weight.1", "recurrent.1"), c.tensors["weight.0"])
            return run(replace(c, tensors={**c.tensors, **shared}))

        return differentiate(case, with_one, wanted=["weight.0", "x.0"])

    (values, grads), (expected, expected_grads) = tied(NetworkCase.run), tied(NetworkCase.run_eagerly)
    for key in expected:
        torch.testing.assert_close(values[key], expected[key], rtol=1e-10, atol=1e-10)
    for key in expected_grads:
        torch.testing.assert_close(grads[key], expected_grads[key], rtol=1e-10, atol=1e-10)


def test_states_default_to_zeros():
    case = network("two inputs, two outputs")
    calls, inputs, states = case.arguments(LayerCall, lambda spec: spec.model)
    zeros = [tuple(torch.zeros_like(s) for s in state) for state in states]
    for none in ([None] * len(calls), [()] * len(calls)):
        outs, _ = run_network(calls, inputs, none, **case.options)
        expected, _ = run_network(calls, inputs, zeros, **case.options)
        assert all(torch.equal(a, b) for a, b in zip(outs, expected, strict=True))


@pytest.mark.parametrize("shape", ["encoder and readout", "a chain"])
def test_open_loop_equals_layer_by_layer(shape):
    case = network(shape, steps=9, foresight=0)
    calls, (signal,), states = case.arguments(LayerCall, lambda spec: spec.model)
    for call, state in zip(calls, states, strict=True):
        signal, _ = run_sequence(call, signal, state)
    torch.testing.assert_close(case.run()["out.0"], signal, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_of_the_batch_equal_the_whole(shape, dtype):
    """All products of the loop are made step by step, so every bit of a sample is its own."""
    case = network(shape, batch=6, dtype=dtype)
    is_sample = [key for key, t in case.tensors.items() if t.dim() > 1 and t.shape[0] == 6 and "weight" not in key]
    is_sample = [key for key in is_sample if not key.startswith("recurrent")]
    wanted = [key for key in is_sample if not key.startswith("x.")]
    values, grads = differentiate(case, NetworkCase.run, wanted=wanted)
    for begin, end in pairwise((0, 1, 6)):
        part = replace(
            case,
            tensors={key: t[begin:end] if key in is_sample else t for key, t in case.tensors.items()},
            grads={key: t[begin:end] for key, t in case.grads.items()},
        )
        own, own_grads = differentiate(part, NetworkCase.run, wanted=wanted)
        assert_equal_bits(own, {key: t[begin:end] for key, t in values.items()})
        assert_equal_bits(own_grads, {key: g[begin:end] for key, g in grads.items()})


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize(
    "shape", ["a chain", "encoder and readout", "crossed feedback", "one spiking layer", "one lagging rate layer"]
)
def test_number_of_threads_changes_nothing(shape, batch, dtype, set_threads):
    case = network(shape, batch=batch, dtype=dtype)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        values, grads = differentiate(case, NetworkCase.run)
        # The gradients of the inputs and of dense weights come from one large matrix product each.
        states = {
            f"grad {key}": g
            for key, g in grads.items()
            if "weight" not in key and not key.startswith(("x.", "recurrent"))
        }
        results.append({**values, **states})
    for one, other in pairwise(results):
        assert_equal_bits(other, one)


def test_continues_from_its_final_states():
    case = network("encoder and readout", steps=10, foresight=0)
    calls, (x,), states = case.arguments(LayerCall, lambda spec: spec.model)
    options = {**case.options}
    whole, finals = run_network(calls, [x], states, **options)
    first, middle = run_network(calls, [x[:, :4]], states, **options)
    second, last = run_network(calls, [x[:, 4:]], middle, **options)
    assert torch.equal(torch.cat([first[0], second[0]], 1), whole[0])
    for one, other in zip(finals, last, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_final_states_are_the_ends_of_the_traces():
    case = network("a chain")
    final, trace = case.run(), replace(case, trace=True).run()
    for key, t in final.items():
        assert torch.equal(t, trace[key] if key.startswith("out") else trace[key][:, -1])


# ---- refusals: argument that the message must name, error, and how to spoil calls, inputs, states and options


def spoil_call(number, **changes):
    def spoil(calls, inputs, states, options):
        calls[number] = calls[number]._replace(**changes)

    return spoil


def spoil_option(**changes):
    return lambda calls, inputs, states, options: options.update(changes)


def spoil_list(which, number, change):
    def spoil(*lists):
        target = lists[which]
        target[number] = change(target[number])

    return spoil


def drop_last(which):
    return lambda *lists: lists[which].pop()


def empty_batch(calls, inputs, states, options):
    inputs[:] = [x[:0] for x in inputs]
    states[:] = [None] * len(states)


INPUTS, STATES = 1, 2
REFUSALS = [
    ("n_inputs", ValueError, spoil_option(n_inputs=0)),
    ("n_outputs", ValueError, spoil_option(n_outputs=0)),
    ("n_outputs", ValueError, spoil_option(n_outputs=4)),
    ("inputs", ValueError, drop_last(INPUTS)),
    ("inputs", ValueError, spoil_list(INPUTS, 0, lambda x: x[:, :0])),
    ("inputs", ValueError, empty_batch),
    ("inputs", ValueError, spoil_list(INPUTS, 0, lambda x: x[0])),
    ("inputs", ValueError, spoil_list(INPUTS, 1, lambda x: x[:, :-1])),
    ("inputs", TypeError, spoil_list(INPUTS, 1, lambda x: x.float())),
    ("feedback", ValueError, spoil_option(feedback=[0])),
    ("feedback", ValueError, spoil_option(feedback=[0, 2])),
    ("feedback", ValueError, spoil_option(feedback=[0, 0])),
    ("states", ValueError, drop_last(STATES)),
    ("state", ValueError, spoil_list(STATES, 1, lambda state: state[:1])),
    ("state", ValueError, spoil_list(STATES, 0, lambda state: (state[0][:, :-1],))),
    ("state", TypeError, spoil_list(STATES, 0, lambda state: (state[0].float(),))),
    ("weight", ValueError, spoil_call(2, weight=torch.zeros(3, 6, dtype=torch.float64))),
    ("weight", TypeError, spoil_call(2, weight=torch.zeros(15, 6))),
    ("weight", ValueError, spoil_call(2, weight=None)),
    ("recurrent_weight", ValueError, spoil_call(1, recurrent_weight=torch.zeros(3, 3, dtype=torch.float64))),
    ("recurrent_weight", ValueError, spoil_call(0, recurrent_weight=torch.zeros(3, 3, dtype=torch.float64))),
    ("constants", ValueError, spoil_call(0, constants=(0.5,))),
    ("constants", ValueError, spoil_call(0, constants=(torch.ones(2), 0.5))),
    ("surrogate", ValueError, spoil_call(1, surrogate="step")),
    ("activation", ValueError, spoil_call(1, activation="tanh")),
    ("model", ValueError, spoil_call(1, model="hodgkin_huxley")),
    ("input_activation", ValueError, spoil_call(1, input_activation="softplus")),
    ("weight", ValueError, spoil_call(1, input_activation="relu")),
    ("gamma", ValueError, spoil_call(1, constants=(0.5, 0.5, 1.0, torch.tensor(5.0, requires_grad=True)))),
    (
        "teacher",
        ValueError,
        spoil_option(teacher=[torch.zeros(3, 8, 3, dtype=torch.float64), None], teacher_weight=0.5),
    ),
    ("teacher", ValueError, spoil_option(teacher=[None], teacher_weight=0.5)),
    ("foresight", ValueError, spoil_option(foresight=-1)),
]


@pytest.mark.parametrize(("name", "error", "spoil"), REFUSALS, ids=[f"{k}-{r[0]}" for k, r in enumerate(REFUSALS)])
def test_bad_arguments_are_named(name, error, spoil):
    case = network("two inputs, two outputs")
    calls, inputs, states = case.arguments(LayerCall, lambda spec: spec.model)
    options = {**case.options}
    spoil(calls, inputs, states, options)
    with pytest.raises(error, match=rf"\b{name}\b"):
        run_network(calls, inputs, states, **options)


def test_second_backward_raises():
    case = network("encoder and readout")
    case.tensors["x.0"].requires_grad_()
    (grad,) = torch.autograd.grad(case.run()["out.0"].sum(), case.tensors["x.0"], create_graph=True)
    with pytest.raises(RuntimeError, match=r"second derivative"):
        grad.sum().backward()


def test_oracle_and_operator_agree_on_the_states():
    for name, oracle in ORACLES.items():
        assert OPERATORS[name].states == oracle.states
        assert OPERATORS[name].constants == oracle.constants
        assert OPERATORS[name].spiking == (oracle.spikes is not None)
        assert OPERATORS[name].output == (oracle.output if OPERATORS[name].spiking else None)
