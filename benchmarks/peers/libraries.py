"""The workloads as users of Norse, snnTorch, SpikingJelly and sinabs would write them, after their documentation.

Input is projected for all steps at once, and time comes first where the library wants it so, before the clock runs.
Where a library's equations are others than ours, currents are scaled so that rates are alike.
"""

from __future__ import annotations

import torch
from candidate import Candidate, Unavailable
from inputs import ALPHA, BETA, GAMMA, Inputs, readout_loss
from torch import Tensor, nn


def dense(weight: Tensor, gain: float = 1.0) -> nn.Linear:
    """A layer without bias that multiplies with `weight` [in, out]."""
    layer = nn.Linear(*weight.shape, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(gain * weight.T)
    return layer


def weights(layers: list[nn.Module]) -> list[Tensor]:
    return [layer.weight for layer in layers]


def steps_first(x: Tensor, gain: float = 1.0) -> Tensor:
    return (gain * x.detach().transpose(0, 1)).contiguous().requires_grad_(x.requires_grad)


def norse(workload: str, given: Inputs) -> Candidate:
    """LIF neurons with a synaptic current; dt times the inverse time constants are 0.1 and 0.2."""
    import norse.torch as norse

    lif = norse.LIFParameters(alpha=torch.as_tensor(GAMMA))
    gain = 2.0
    if workload == "zebrafish":
        return norse_closed_loop(given)
    if workload == "feed_forward":
        x, layer = steps_first(given.x, gain), norse.LIF(p=lif)
        return Candidate(lambda: layer(x)[0], [x], time_first=True)
    x = steps_first(given.x)
    if workload == "mnist":
        first, last = dense(given.parameters[0], gain), dense(given.parameters[1])
        hidden, out = norse.LIF(p=lif), norse.LI()

        def classify() -> Tensor:
            return readout_loss(out(last(hidden(first(x))[0]))[0], given.labels, time=0)

        return Candidate(classify, weights([first, last]), transposed=True)
    if workload == "public":
        project, layer = dense(given.parameters[0], gain), norse.LIF(p=lif)
        return Candidate(lambda: layer(project(x))[0], weights([project]), time_first=True, transposed=True)
    # Recurrent cells multiply with their own weights at every step.
    if workload == "spy_recurrent":
        gain *= 5.0
    layer = norse.LIFRecurrent(*given.parameters[0].shape, p=lif, autapses=True)
    with torch.no_grad():
        layer.input_weights.copy_(gain * given.parameters[0].T)
        layer.recurrent_weights.copy_(gain * given.parameters[1].T)
    return Candidate(
        lambda: layer(x)[0], [layer.input_weights, layer.recurrent_weights], time_first=True, transposed=True
    )


def norse_closed_loop(given: Inputs) -> Candidate:
    import norse.torch as norse

    cell = norse.LIFCell(p=norse.LIFParameters(alpha=torch.as_tensor(10.0)))
    first, last = dense(given.parameters[0], 4.0), dense(given.parameters[1])
    steps = given.scale.shape[1]

    def run() -> Tensor:
        x, state, filtered, out = given.x, None, torch.zeros_like(given.x), []
        for _ in range(steps):
            z, state = cell(first(x), state)
            filtered = ALPHA * filtered + z
            x = torch.sigmoid(last(filtered))
            out.append(x)
        return torch.stack(out, 1)

    return Candidate(run, weights([first, last]), transposed=True)


def snntorch(workload: str, given: Inputs) -> Candidate:
    """RLeaky has the equations of ours; Leaky resets before it adds the current, not after."""
    import snntorch
    from snntorch import surrogate

    dtype = given.x.dtype
    options = {"spike_grad": surrogate.fast_sigmoid(slope=GAMMA), "reset_mechanism": "zero"}
    alpha, beta = (torch.tensor(value, dtype=dtype) for value in (ALPHA, BETA))

    def over_time(neuron: nn.Module, currents: Tensor) -> Tensor:
        mem, out = neuron.reset_mem(), []
        for current in currents:
            spikes, mem = neuron(current, mem)
            out.append(spikes)
        return torch.stack(out)

    if workload == "feed_forward":
        x, neuron = steps_first(given.x), snntorch.Leaky(beta=alpha, **options).to(dtype)
        return Candidate(lambda: over_time(neuron, x), [x], time_first=True)
    x = steps_first(given.x)
    if workload == "public":
        project, neuron = dense(given.parameters[0]), snntorch.Leaky(beta=alpha, **options).to(dtype)
        return Candidate(lambda: over_time(neuron, project(x)), weights([project]), True, True)
    if workload == "mnist":
        first, last = dense(given.parameters[0]), dense(given.parameters[1])
        hidden = snntorch.Leaky(beta=alpha, **options).to(dtype)
        out = snntorch.Synaptic(alpha=beta, beta=alpha, reset_mechanism="none").to(dtype)

        def classify() -> Tensor:
            currents, (synapse, mem), potentials = last(over_time(hidden, first(x))), out.reset_mem(), []
            for current in currents:
                _, synapse, mem = out(current, synapse, mem)
                potentials.append(mem)
            return readout_loss(torch.stack(potentials), given.labels, time=0)

        return Candidate(classify, weights([first, last]), transposed=True)
    if workload == "recurrent":
        n = given.parameters[0].shape[1]
        project, neuron = dense(given.parameters[0]), snntorch.RLeaky(beta=alpha, linear_features=n, **options)
        neuron = neuron.to(dtype)
        neuron.recurrent = dense(given.parameters[1])

        def run() -> Tensor:
            (spikes, mem), out = neuron.reset_mem(), []
            for current in project(x):
                spikes, mem = neuron(current, spikes, mem)
                out.append(spikes)
            return torch.stack(out)

        return Candidate(run, weights([project, neuron.recurrent]), True, True)
    raise Unavailable(f"snnTorch is not written for {workload}")


def spikingjelly(workload: str, given: Inputs) -> Candidate:
    """LIFNode over all steps at once; it is reset within the step of its spike."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    # The sigmoid is its default. Its SuperSpike is as wide at any slope, and explodes along recurrent steps.
    def node(step_mode: str = "m") -> nn.Module:
        return neuron.LIFNode(
            tau, decay_input=False, detach_reset=True, surrogate_function=surrogate.Sigmoid(), step_mode=step_mode
        )

    tau = 1.0 / (1.0 - ALPHA)

    if workload == "feed_forward":
        x, net = steps_first(given.x), node()
        parameters = [x]
    elif workload == "public":
        x, project = steps_first(given.x), dense(given.parameters[0])
        net, parameters = nn.Sequential(project, node()), weights([project])
    elif workload == "recurrent":
        x, project, rec = steps_first(given.x), dense(given.parameters[0]), dense(given.parameters[1])
        loop = layer.ElementWiseRecurrentContainer(node("s"), lambda y, current: rec(y) + current, step_mode="m")
        net, parameters = nn.Sequential(project, loop), weights([project, rec])
    elif workload == "mnist":
        x, first, last = steps_first(given.x), dense(given.parameters[0]), dense(given.parameters[1])
        readout = neuron.NonSpikingLIFNode(tau, decode="max-mem")
        net, parameters = nn.Sequential(first, node(), last, readout), weights([first, last])
    else:
        raise Unavailable(f"SpikingJelly is not written for {workload}")

    def run() -> Tensor:
        functional.reset_net(net)
        out = net(x)
        return readout_loss(out[None], given.labels, time=0) if workload == "mnist" else out

    return Candidate(run, parameters, workload != "mnist", workload != "feed_forward")


def sinabs(workload: str, given: Inputs) -> Candidate:
    """LIF layers that are set to zero within the step of the spike."""
    import sinabs.activation as activation
    import sinabs.layers as layers

    tau = 10.0  # steps

    def options() -> dict:
        return {
            "tau_mem": tau,
            "spike_fn": activation.SingleSpike,
            "reset_fn": activation.MembraneReset(),
            "surrogate_grad_fn": activation.SingleExponential(grad_width=0.5),
            "norm_input": False,
        }

    if workload == "feed_forward":
        x = given.x.detach().clone().requires_grad_()
        net, parameters = layers.LIF(**options()), [x]
    elif workload == "public":
        x, project = given.x, dense(given.parameters[0])
        net, parameters = nn.Sequential(project, layers.LIF(**options())), weights([project])
    elif workload == "recurrent":
        x, project, rec = given.x, dense(given.parameters[0]), dense(given.parameters[1])
        net = nn.Sequential(project, layers.LIFRecurrent(rec_connect=rec, **options()))
        parameters = weights([project, rec])
    elif workload == "mnist":
        x, first, last = given.x, dense(given.parameters[0]), dense(given.parameters[1])
        net = nn.Sequential(first, layers.LIF(**options()), last, layers.ExpLeak(tau_mem=tau))
        parameters = weights([first, last])
    else:
        raise Unavailable(f"sinabs is not written for {workload}")

    def run() -> Tensor:
        for module in net.modules():
            if isinstance(module, layers.StatefulLayer):
                module.reset_states()
        out = net(x)
        return readout_loss(out, given.labels) if workload == "mnist" else out

    return Candidate(run, parameters, transposed=workload != "feed_forward")


CANDIDATES = {"norse": norse, "snntorch": snntorch, "spikingjelly": spikingjelly, "sinabs": sinabs}
