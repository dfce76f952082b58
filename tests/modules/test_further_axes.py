"""Inputs with axes between time and features."""

import pytest
import torch

from neurotorch import Linear, SequentialRNN, SpyLIFLayer
from neurotorch.modules.layers import LinearJtoI
from neurotorch.modules.wrappers import SizedModuleWrapper

X = torch.rand(2, 5, 6, 7, 3)


def reference(x, layers):
    for layer in layers:
        x = torch.nn.functional.linear(x, layer.forward_weights.T, layer.bias_weights)
    return x


@pytest.mark.parametrize("x", [X[:, :, 0, 0], X[:, :, 0], X], ids=["0", "1", "2"])
def test_linear_layers_map_the_last_axis(x):
    torch.manual_seed(0)
    model = SequentialRNN([Linear(3, 4), Linear(4, 3)], device="cpu").build()
    out = model.get_prediction_trace(x)
    torch.testing.assert_close(out, reference(x, model.get_all_layers()))
    bias = [model.get_layer().bias_weights]
    (wanted,) = torch.autograd.grad(reference(x, model.get_all_layers()).square().sum(), bias)
    (found,) = torch.autograd.grad(out.square().sum(), bias)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("x", [X[:, :, 0, 0], X[:, :, 0], X], ids=["0", "1", "2"])
def test_in_closed_loop(x):
    torch.manual_seed(0)
    layers = [Linear(3, 4), Linear(4, 3)]
    model = SequentialRNN(layers, foresight_time_steps=3, device="cpu").build()
    frame, expected = x[:, -1], []
    for _ in range(3):
        frame = reference(frame, layers)
        expected.append(frame)
    torch.testing.assert_close(model.get_prediction_trace(x), torch.stack(expected, dim=1))


def test_lengths_and_other_layers():
    torch.manual_seed(0)
    layer = Linear(3, 4, bias_weights=torch.ones(4)).build()
    out, _ = layer.forward_sequence(X, lengths=[5, 2])
    assert not out[1, 2:].any()
    torch.testing.assert_close(out[0], reference(X, [layer])[0])
    transposed = LinearJtoI(3, 4).build()
    out, _ = transposed.forward_sequence(X)
    torch.testing.assert_close(out, X @ transposed.forward_weights.T)


def test_modules_of_torch_may_remove_them_before_neurons():
    torch.manual_seed(0)
    flatten = SizedModuleWrapper(torch.nn.Flatten(), input_size=18, output_size=18)
    model = SequentialRNN([flatten, SpyLIFLayer(18, 4)], device="cpu").build()
    assert model.get_prediction_trace(X[:, :, :, 0]).shape == (2, 5, 4)


@pytest.mark.parametrize("foresight", [0, 3])
def test_layers_of_neurons_name_themselves(foresight):
    model = SequentialRNN([Linear(3, 4), SpyLIFLayer(4, 3, name="cells")], foresight_time_steps=foresight, device="cpu")
    with pytest.raises(ValueError, match=r"layer 'cells': SpyLIFLayer takes inputs \[B, .*F\].*got \[2, .*6, 4\]"):
        model.build().get_prediction_trace(X[:, :, :, 0])
