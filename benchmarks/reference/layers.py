"""The workloads with the layers of NeuroTorch 0.0.2, called step by step as its own containers call them.

It has the import name of this library and therefore a process of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from candidate import Candidate
from inputs import ALPHA, BETA, GAMMA, ZEBRAFISH_GAMMA, Inputs, readout_loss
from torch import Tensor
from torchvision_stub import replace_torchvision


def neurotorch_002() -> Any:
    """NeuroTorch 0.0.2, or an error that names what was found."""
    replace_torchvision()
    import neurotorch

    assert neurotorch.__version__ == "0.0.2", (
        f"expected NeuroTorch 0.0.2, got {neurotorch.__version__} in {neurotorch.__file__}"
    )
    return neurotorch


class Unchanged:
    """In place of the weights of a layer that is given currents: a product with it is the other factor."""

    @classmethod
    def __torch_function__(cls, function, kinds, args=(), kwargs=None):
        return args[0]


def layer_of(kind: type, weight: Tensor | None, n: int, rec: Tensor | None = None, **constants: float) -> Any:
    """Built, with our numbers in place of those that it rounds to float32."""
    n_inputs = n if weight is None else weight.shape[0]
    recurrent = (
        {}
        if "LI" not in kind.__name__ or kind.__name__ == "SpyLILayer"
        else {"use_recurrent_connection": rec is not None}
    )
    options = {"use_bias": False} if kind.__name__ in ("SpyLILayer", "Linear") else {}
    layer = kind(n_inputs, n, device=torch.device("cpu"), **recurrent, **options)
    layer.build()
    like = weight if weight is not None else torch.zeros((), dtype=torch.get_default_dtype())
    # Its own ``to`` takes a device alone.
    for parameter in layer.parameters():
        parameter.data = parameter.data.to(like.dtype)
    if weight is None:
        del layer._parameters["_forward_weights"]
        object.__setattr__(layer, "_forward_weights", Unchanged())
    else:
        layer.forward_weights.data = weight.detach().clone()
    if rec is not None:
        layer.recurrent_weights.data = rec.detach().clone()
    for name, value in constants.items():
        if isinstance(getattr(layer, name), Tensor):
            getattr(layer, name).data = torch.tensor(value, dtype=like.dtype)
        else:
            setattr(layer, name, value)
    return layer


def neurotorch(workload: str, given: Inputs) -> Candidate:
    nt = neurotorch_002()
    # Its states take the default.
    torch.set_default_dtype(given.x.dtype)
    lif = {"alpha": ALPHA, "gamma": GAMMA}

    def over_time(layer: Any, x: Tensor) -> list[Tensor]:
        state, out = None, []
        # Indexing a sequence whose gradient is wanted would cost a pass over all of it at every step.
        for current in x.unbind(1):
            z, state = layer(current, state)
            out.append(z)
        return out

    if workload == "feed_forward":
        x = given.x.detach().clone().requires_grad_()
        layer = layer_of(nt.LIFLayer, None, x.shape[2], **lif)
        return Candidate(lambda: torch.stack(over_time(layer, x), 1), [x])
    weight = given.parameters[0]
    n = weight.shape[1]
    if workload in ("public", "recurrent", "spy_recurrent"):
        rec = given.parameters[1] if len(given.parameters) > 1 else None
        if workload == "spy_recurrent":
            layer = layer_of(nt.SpyLIFLayer, weight, n, rec, alpha=BETA, beta=ALPHA, gamma=GAMMA)
        else:
            layer = layer_of(nt.LIFLayer, weight, n, rec, **lif)
        parameters = [layer.forward_weights, *([] if rec is None else [layer.recurrent_weights])]
        return Candidate(lambda: torch.stack(over_time(layer, given.x), 1), parameters)
    if workload == "mnist":
        hidden = layer_of(nt.LIFLayer, weight, n, **lif)
        out = layer_of(nt.SpyLILayer, given.parameters[1], given.parameters[1].shape[1], alpha=BETA, beta=ALPHA)

        def classify() -> Tensor:
            state, last, potentials = None, None, []
            for t in range(given.x.shape[1]):
                z, state = hidden(given.x[:, t], state)
                v, last = out(z, last)
                potentials.append(v)
            return readout_loss(torch.stack(potentials, 1), given.labels)

        return Candidate(classify, [hidden.forward_weights, out.forward_weights])
    spy = {"alpha": BETA, "beta": ALPHA, "gamma": ZEBRAFISH_GAMMA, "lpf_alpha": ALPHA}
    hidden = layer_of(nt.SpyLIFLayerLPF, weight, n, **spy)
    readout = nt.Linear(n, n, use_bias=False, activation="sigmoid", device=torch.device("cpu")).build()
    readout.forward_weights.data = given.parameters[1].detach().clone()

    def closed_loop() -> Tensor:
        x, state, out = given.x, None, []
        for _ in range(given.scale.shape[1]):
            phi, state = hidden(x, state)
            x = readout(phi)
            out.append(x)
        return torch.stack(out, 1)

    return Candidate(closed_loop, [hidden.forward_weights, readout.forward_weights])


CANDIDATES = {"neurotorch": neurotorch}
