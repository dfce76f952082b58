import json

import numpy as np
import pytest
import torch
from helpers import GOLDEN_LAYERS

import neurotorch as nt
from neurotorch.modules import layers
from neurotorch.modules.layers import (
    BaseNeuronsLayer,
    IzhikevichLayer,
    LIFLayer,
    LIFLayerLPF,
    LILayer,
    Linear,
    SpyALIFLayer,
    SpyALIFLayerLPF,
    SpyLIFLayer,
)

with np.load(GOLDEN_LAYERS / "hidden_state_init.npz", allow_pickle=False) as _file:
    ARRAYS = {key: torch.from_numpy(_file[key]) for key in _file.files if key != "meta_json"}
    CASES = json.loads(str(_file["meta_json"]))["cases"]

KNOWN = [case for case in CASES if hasattr(layers, case.partition("/")[0])]


@pytest.mark.parametrize("case", KNOWN)
def test_recorded_states(case, dtype):
    cls, meta = getattr(layers, case.partition("/")[0]), CASES[case]
    layer = cls(device="cpu", **meta["kwargs"]).build().to(dtype)
    state = layer.create_empty_state(3, inputs=ARRAYS["inputs"])
    assert list(layer.state_names) == meta["state_names"]
    assert len(state) == len(meta["state_names"])
    for k, s in enumerate(state):
        assert s.dtype == dtype
        torch.testing.assert_close(s.float(), ARRAYS[f"{case}/{k}"], rtol=1e-6, atol=1e-6)
        if "inputs" not in case:
            assert s.is_leaf
            assert s.requires_grad


def test_every_recorded_class_is_covered():
    missing = {case.partition("/")[0] for case in CASES} - {case.partition("/")[0] for case in KNOWN}
    spiking = {f"{name}Layer{end}" for name in ("LIF", "SpyLIF", "ALIF", "SpyALIF") for end in ("", "LPF")}
    assert not missing & {*spiking, "BellecLIFLayer", "LILayer", "SpyLILayer"}


@pytest.mark.parametrize("cls", [LIFLayer, SpyLIFLayer, LILayer])
@pytest.mark.parametrize("mode", ["random", "RANDOM"])
def test_random_states_follow_the_global_seed(cls, mode):
    layer = cls(3, 4, hh_init=mode, device="cpu").build()
    nt.set_seed(5)
    first, second = layer.create_empty_state(2), layer.create_empty_state(2)
    assert not torch.equal(first[0], second[0])
    nt.set_seed(5)
    torch.testing.assert_close(layer.create_empty_state(2), first)


def test_seeds_of_any_integral_type():
    a, b = (LILayer(3, 4, hh_init="random", hh_init_seed=s, device="cpu").build() for s in (3, np.int64(3)))
    assert torch.equal(a.create_empty_state()[0], b.create_empty_state()[0])
    with pytest.raises(TypeError, match="hh_init_seed"):
        LILayer(3, 4, hh_init="random", hh_init_seed=1.5, device="cpu").build().create_empty_state()


def test_spikes_of_random_spy_lif_states_are_binary():
    layer = SpyLIFLayer(3, 200, hh_init="random", hh_init_mu=0.8, device="cpu").build()
    v, _, z = layer.create_empty_state(4)
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert not v[z == 1].any()


def test_inputs_stay_in_the_graph():
    layer = LILayer(4, 4, hh_init="inputs", device="cpu").build()
    x = torch.randn(2, 3, 4, requires_grad=True)
    out, _ = layer.forward_sequence(x)
    grad = torch.autograd.grad(out.sum(), x)[0]
    with torch.no_grad():
        through_weights = layer._forward_weights.sum(1) * (1 + layer.kappa + layer.kappa**2)
        expected = through_weights + layer.kappa + layer.kappa**2 + layer.kappa**3
    torch.testing.assert_close(grad[:, 0], expected.expand(2, 4))


@pytest.mark.parametrize("cls", [SpyALIFLayer, SpyALIFLayerLPF])
def test_initial_adaptation_of_spy_alif(cls):
    """Drawn after potential and current, so that these are SpyLIF's for the same seed."""
    x = torch.rand(2, 4)
    for mode in ("random", "inputs"):
        kwargs = {"hh_init": mode, "hh_init_seed": 3, "threshold": 0.5, "device": "cpu"}
        layer = cls(4, 4, tau_a=0.01, **kwargs).build()
        state = dict(zip(layer.state_names, layer.create_empty_state(2, inputs=x), strict=True))
        v, i_syn, z = SpyLIFLayer(4, 4, **kwargs).build().create_empty_state(2, inputs=x)
        assert torch.equal(state["V"], v)
        assert torch.equal(state["I_syn"], i_syn)
        assert torch.equal(state["Z"], z)
        generator = torch.Generator().manual_seed(3)
        *_, third = (torch.rand(2, 4, generator=generator) for _ in range(3))
        torch.testing.assert_close(state["a"], third if mode == "random" else np.exp(-0.1) * third * 0.5 + x)
        if "Z_filtered" in state:
            assert torch.equal(state["Z_filtered"], z)


def test_izhikevich_starts_at_rest():
    layer = IzhikevichLayer(3, 4, v_rest=np.array([-60.0, -61.0, -62.0, -63.0]), device="cpu").build()
    state = layer.create_empty_state(2)
    assert torch.equal(state[0], layer.v_rest.expand(2, 4))
    assert not state[1].any()
    assert not state[2].any()
    assert all(s.is_leaf and s.requires_grad for s in state)
    out, traces = layer.forward_sequence(torch.zeros(2, 5, 3), trace=True)
    assert torch.equal(traces[0], layer.v_rest.expand(2, 5, 4))
    assert not out.any()


def test_izhikevich_starts_between_rest_and_threshold_or_from_the_inputs():
    layer = IzhikevichLayer(3, 200, hh_init="random", hh_init_seed=1, device="cpu").build()
    v, u, z = layer.create_empty_state(4)
    assert -60 <= v.min() < -59
    assert -41 < v.max() <= -40
    assert not u.any()
    assert not z.any()
    narrow = IzhikevichLayer(3, 200, hh_init="random", hh_init_mu=-70.0, hh_init_std=1.0, device="cpu").build()
    assert -70 <= narrow.create_empty_state(4)[0].min() < narrow.create_empty_state(4)[0].max() <= -69
    x = torch.randn(2, 3)
    v, u, z = IzhikevichLayer(3, 3, hh_init="inputs", device="cpu").build().create_empty_state(2, inputs=x)
    assert torch.equal(v, x)
    assert not u.any()
    assert not z.any()


def test_inputs_need_as_many_features_as_neurons():
    for cls in (LIFLayer, SpyLIFLayer, SpyALIFLayer, IzhikevichLayer):
        layer = cls(3, 4, hh_init="inputs", device="cpu")
        with pytest.raises(AssertionError, match="inputs"):
            layer(torch.zeros(2, 3))
        with pytest.raises(AssertionError, match="inputs"):
            layer.create_empty_state(2)


def test_given_states():
    h0 = (torch.rand(1, 4, dtype=torch.float64, requires_grad=True), torch.zeros(2, 4))
    layer = LIFLayer(3, 4, hh_init="Given", h0=h0, device="cpu").build()
    v, z = layer.create_empty_state(2)
    assert v.dtype == z.dtype == torch.float32
    torch.testing.assert_close(v, h0[0].float().expand(2, 4))
    state = layer(torch.zeros(2, 3))[1]
    assert torch.autograd.grad(state[0].sum(), h0[0])[0].shape == (1, 4)


def test_given_states_that_do_not_fit():
    x = torch.zeros(2, 3)
    with pytest.raises(AssertionError, match="h0"):
        LILayer(3, 4, hh_init="given", device="cpu")(x)
    with pytest.raises(AssertionError, match="h0"):
        LILayer(3, 4, hh_init="given", h0=torch.zeros(2, 4), device="cpu")(x)
    with pytest.raises(ValueError, match="h0: expected 1 tensors"):
        LILayer(3, 4, hh_init="given", h0=(torch.zeros(2, 4),) * 2, device="cpu")(x)
    with pytest.raises(ValueError, match="h0"):
        LILayer(3, 4, hh_init="given", h0=(torch.zeros(3, 4),), device="cpu")(x)
    with pytest.raises(ValueError, match="hh_init"):
        LILayer(3, 4, hh_init="ones", device="cpu")(x)


def test_low_pass_layers_take_the_full_state_or_one_without_filter():
    v, phi, z = torch.rand(2, 4), torch.rand(2, 4), torch.ones(2, 4)
    full = LIFLayerLPF(3, 4, hh_init="given", h0=(v, phi, z), device="cpu").build()
    torch.testing.assert_close(full.create_empty_state(2), (v, phi, z))
    without = LIFLayerLPF(3, 4, hh_init="given", h0=(v, z), device="cpu").build()
    torch.testing.assert_close(without.create_empty_state(2), (v, z, z))


def test_missing_entries_come_from_a_fresh_state():
    layer = SpyLIFLayer(3, 4, hh_init="random", hh_init_seed=1, device="cpu").build()
    fresh, v = layer.create_empty_state(2), torch.rand(2, 4)
    x = torch.randn(2, 5, 3)
    expected = layer(x, (v, fresh[1], fresh[2]))
    torch.testing.assert_close(layer(x, (v, None, None)), expected)
    torch.testing.assert_close(layer(x, [v, None, None]), expected)
    with pytest.raises(ValueError, match="state"):
        layer(x, (v, None))
    with pytest.raises(ValueError, match="state"):
        layer(x, (v, v))


def test_a_single_tensor_is_a_state_of_one():
    layer, h = LILayer(3, 4, device="cpu").build(), torch.rand(2, 4)
    x = torch.randn(2, 3)
    torch.testing.assert_close(layer(x, h), layer(x, (h,)))


def test_states_made_inside_a_call_require_no_gradient():
    layer = LILayer(3, 4, freeze_weights=True, device="cpu").build()
    out, _ = layer(torch.zeros(2, 3))
    assert not out.requires_grad


def test_layers_without_memory_have_an_empty_state():
    assert Linear(3, 4, device="cpu").build().create_empty_state(2) == ()


def test_number_of_states_of_a_layer_of_ones_own():
    class Mine(BaseNeuronsLayer):
        def create_empty_state(self, batch_size=1, **kwargs):
            kwargs.setdefault("n_hh", 3)
            return super().create_empty_state(batch_size=batch_size, **kwargs)

    state = Mine(2, 5, hh_init="random", device="cpu").build().create_empty_state(4)
    assert [tuple(s.shape) for s in state] == [(4, 5)] * 3
