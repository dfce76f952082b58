"""An input that is expanded along time, not copied, gives what its copies give."""

import pytest
import torch
from helpers import counted_operators

from neurotorch.modules import layers

KINDS = [
    "LIFLayer", "SpyLIFLayer", "ALIFLayer", "SpyALIFLayer", "BellecLIFLayer", "LIFLayerLPF", "SpyLIFLayerLPF",
    "ALIFLayerLPF", "SpyALIFLayerLPF", "LILayer", "SpyLILayer", "Linear", "LinearRNN", "WilsonCowanLayer",
    "WilsonCowanCURBDLayer", "FiringRateLayer",
]  # fmt: skip
STEPS = 12


def made(kind, **options):
    torch.manual_seed(3)
    return getattr(layers, kind)(4, 4, hh_init="zeros", **options).double().build()


def both(layer, x, **options):
    """Outputs, last states and gradients for the expanded and for the copied input."""
    results = []
    for sequence in (x.unsqueeze(1).expand(-1, STEPS, -1), x.unsqueeze(1).repeat(1, STEPS, 1)):
        assert (sequence.stride(1) == 0) == (not results)
        out, state = layer.forward_sequence(sequence, **options)
        weights = [p for p in layer.parameters() if p.requires_grad]
        grads = torch.autograd.grad(out.square().sum() + sum(s.sum() for s in state), [x, *weights], allow_unused=True)
        results.append((out.detach(), [s.detach() for s in state], grads))
    return results


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"trace": True}, {"lengths": [STEPS, 3, 7]}], ids=["last", "trace", "lengths"])
def test_expanded_equals_copied(kind, options):
    x = (3 * torch.rand(3, 4, dtype=torch.float64)).requires_grad_()
    expanded, copied = both(made(kind), x, **options)
    torch.testing.assert_close(expanded, copied)
    assert copied[0].abs().max() > 0


@pytest.mark.parametrize(
    "options", [{"force_dale_law": True}, {"regularize": True}, {"use_recurrent_connection": False}]
)
def test_options_of_layers(options):
    x = (3 * torch.rand(3, 4, dtype=torch.float64)).requires_grad_()
    layer = made("SpyLIFLayer", **options)
    expanded, copied = both(layer, x, recompute_every=5)
    torch.testing.assert_close(expanded, copied)


def test_one_operator_and_one_small_product():
    layer, x = made("SpyLIFLayer"), torch.rand(3, 4, dtype=torch.float64)
    counts = counted_operators(lambda: layer.forward_sequence(x.unsqueeze(1).expand(-1, STEPS, -1)))
    assert counts == {"neurotorch::spy_lif_forward": 1}
    assert layer(x.unsqueeze(1).expand(-1, STEPS, -1))[0].shape == (3, STEPS, 4)


def test_one_step_and_compiled():
    layer, x = made("LIFLayer"), torch.rand(3, 4, dtype=torch.float64)
    one = x.unsqueeze(1).expand(-1, 1, -1)
    torch.testing.assert_close(layer.forward_sequence(one)[0][:, 0], layer(x)[0])
    many = x.unsqueeze(1).expand(-1, STEPS, -1)
    compiled = torch.compile(layer.forward_sequence, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(many), layer.forward_sequence(many))
    mapped = torch.vmap(lambda row: layer.forward_sequence(row.unsqueeze(1).expand(-1, STEPS, -1))[0])(x.unsqueeze(1))
    torch.testing.assert_close(mapped[:, 0], layer.forward_sequence(many)[0])
