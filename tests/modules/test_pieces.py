"""A run in pieces has the results of a run in one."""

import pytest
import torch

import neurotorch as nt
from neurotorch import Linear, SequentialRNN
from neurotorch.modules._pieces import PiecewiseRun
from neurotorch.modules.layers import BellecLIFLayer, FiringRateLayer, IzhikevichLayer, LinearRNN

LAYERS = [
    nt.LIFLayer,
    nt.ALIFLayer,
    nt.SpyLIFLayer,
    nt.SpyALIFLayer,
    nt.LIFLayerLPF,
    nt.SpyLIFLayerLPF,
    BellecLIFLayer,
    IzhikevichLayer,
    nt.LILayer,
    nt.SpyLILayer,
    Linear,
    LinearRNN,
    nt.WilsonCowanLayer,
    nt.WilsonCowanCURBDLayer,
    FiringRateLayer,
]


class Pieces:
    """A rule that learns nothing and runs the network in pieces of so many steps."""

    def __init__(self, steps):
        self.steps = steps
        self.n_pieces = 0

    def run_online(self, network, x, states, schedule):
        run = PiecewiseRun(network, x, states, schedule)
        while run.done < schedule.total:
            stop = min(schedule.total, run.done + self.steps)
            outs = run.advance(stop)
            assert all(out.requires_grad for out in outs)
            run.detach()
            self.n_pieces += 1
        return run.result()


def in_pieces(model, steps, *args, **kwargs):
    model.online_rule = Pieces(steps)
    try:
        return model(*args, **kwargs)
    finally:
        model.online_rule = None


def assert_same(found, expected):
    (outs, hidden), (other_outs, other_hidden) = found, expected
    assert outs.keys() == other_outs.keys()
    for name, out in outs.items():
        assert not out.requires_grad
        torch.testing.assert_close(out, other_outs[name].detach(), rtol=1e-10, atol=1e-10)
    for name, states in hidden.items():
        assert len(states) == len(other_hidden[name])
        for state, other in zip(states, other_hidden[name], strict=True):
            assert (state is None) == (other is None)
            if state is not None:
                assert not state.requires_grad
                torch.testing.assert_close(state, other.detach(), rtol=1e-10, atol=1e-10)


def network(*layers, **options):
    return SequentialRNN(list(layers), device="cpu", **options).build().double()


@pytest.mark.parametrize("steps", [1, 2, 5, 100])
@pytest.mark.parametrize("cls", LAYERS)
def test_every_layer_in_open_and_closed_loop(cls, steps):
    model = network(cls(4, 4), Linear(4, 4, activation="tanh"), foresight_time_steps=7, out_memory_size=9)
    x = torch.rand(2, 4, 4).double() * 2
    for foresight in (0, 7):
        expected = model(x, foresight_time_steps=foresight)
        assert_same(in_pieces(model, steps, x, foresight_time_steps=foresight), expected)


@pytest.mark.parametrize("memory", [1, 3, 10])
@pytest.mark.parametrize("steps", [1, 3, 4])
def test_memory_states_and_teacher(memory, steps):
    model = network(
        nt.SpyLIFLayer(4, 6, gamma=1.0), nt.LIFLayer(6, 5), nt.LILayer(5, 4), foresight_time_steps=6,
        out_memory_size=memory, hh_memory_size=memory,
    )  # fmt: skip
    x, teacher = torch.rand(2, 5, 4).double() * 2, torch.rand(2, 10, 4).double()
    states = {"input_0": (torch.rand(2, 6), None, torch.zeros(2, 6))}
    arguments = {"init_hidden_states": states, "teacher": teacher, "teacher_weight": 0.4}
    assert_same(in_pieces(model, steps, x, **arguments), model(x, **arguments))


@pytest.mark.parametrize("foresight", [0, 5])
@pytest.mark.parametrize("steps", [1, 3])
def test_several_inputs_and_outputs(steps, foresight):
    inputs = {"a": nt.LIFLayer(3, 4), "b": nt.SpyLIFLayer(2, 3, gamma=1.0), "c": Linear(1, 2)}
    outputs = {"y": Linear(7, 3, activation="sigmoid"), "z": nt.LILayer(7, 2)}
    model = network(inputs, nt.ALIFLayer(9, 7), outputs, foresight_time_steps=foresight)
    x = {"a": torch.rand(2, 6, 3) * 3, "b": torch.rand(2, 4, 2) * 3, "c": torch.rand(2, 6, 1)}
    assert_same(in_pieces(model, steps, x), model(x))
    alone = network({"a": nt.LILayer(3, 3), "b": LinearRNN(2, 2)}, foresight_time_steps=foresight)
    x.pop("c")
    assert_same(in_pieces(alone, steps, x), alone(x))


@pytest.mark.parametrize("foresight", [0, 5])
def test_layers_that_step_and_random_states(foresight):
    layer = nt.SpyLIFLayer(4, 5, gamma=1.0, hh_init="random", hh_init_seed=3)
    layer.register_forward_hook(lambda *_: None)
    model = network(layer, nt.LILayer(5, 4), foresight_time_steps=foresight)
    x = torch.rand(2, 6, 4) * 3
    assert_same(in_pieces(model, 2, x), model(x))


def test_layers_are_told_the_step_of_the_whole_run():
    told = {}
    for steps in (2, 100):
        seen = told[steps] = []
        layer = nt.LIFLayer(4, 4)
        layer.register_forward_pre_hook(lambda _, args, kwargs, seen=seen: seen.append(dict(kwargs)), with_kwargs=True)
        model = network(layer, nt.LILayer(4, 4), foresight_time_steps=4)
        in_pieces(model, steps, torch.rand(1, 3, 4))
    assert told[2] == told[100]
    assert told[2][-1] == {"t": 5, "forecasting": True, "tau": 2}


def test_a_piece_has_the_gradient_of_its_own_steps():
    model = network(LinearRNN(2, 2, use_bias=False, forward_weights=torch.eye(2), recurrent_weights=torch.eye(2)))
    weights, x = model.get_layer("output_0")._recurrent_weights, torch.ones(1, 4, 2)
    grads = []

    class Rule(Pieces):
        def run_online(self, network, x, states, schedule):
            run = PiecewiseRun(network, x, states, schedule)
            for stop in (2, 4):
                (out,) = run.advance(stop)
                grads.append(torch.autograd.grad(out[:, -1].sum(), weights)[0])
                run.detach()
            return run.result()

    model.online_rule = Rule(2)
    model(x)
    # V is 1, 2, 3, 4. Of V_2 the recurrent weights see V_1 = 1; of V_4 = V_2 R R + x R + x they see 3 and, before, 2.
    torch.testing.assert_close(grads[0], torch.full((2, 2), 1.0).double())
    torch.testing.assert_close(grads[1], torch.full((2, 2), 5.0).double())
