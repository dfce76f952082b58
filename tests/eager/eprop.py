"""E-prop in plain PyTorch: traces by forward-mode differentiation of one step, and Bellec's equations written out.

Traces of every synapse are dense Jacobians, ``[outputs of a layer, entries of a parameter]`` per sample, so networks
have to be small.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from eager.sequence import ACTIVATIONS, Oracle
from eager.surrogates import SPIKES


@dataclass
class Layer:
    """One layer: raw parameters by name (W, R, sign_W, sign_R, constants), those that learn, and fixed values."""

    model: Oracle
    raw: dict[str, Tensor]
    learned: list[str]
    constants: dict[str, Tensor]  # those that are not among the parameters
    mask: Tensor | None = None
    surrogate: str = "fast_sigmoid"
    activation: str = "identity"
    poles: list[float] = field(default_factory=list)  # of a readout
    derived: dict[str, Callable[[dict[str, Tensor]], Tensor]] = field(default_factory=dict)  # constants of raw ones

    def effective(self) -> dict[str, Tensor]:
        """What the equations of a step read, as functions of the raw parameters."""
        made = {name: self.raw[name] if name in self.raw else self.constants[name] for name in self.model.constants}
        made |= {name: make(self.raw) for name, make in self.derived.items()}
        made["W"] = self._signed("W")
        if "R" in self.raw:
            made["R"] = self._signed("R") if self.mask is None else self._signed("R") * self.mask
        return made

    def _signed(self, name):
        weight, sign = self.raw[name], self.raw.get(f"sign_{name}")
        return weight if sign is None else weight**2 * torch.tanh(sign)

    def step(self, theta, before, x, activated=True):
        """Next states and output of one sample; what comes through R counts as an input."""
        f = ACTIVATIONS[self.activation]
        current = x @ theta["W"]
        if "R" in theta:
            model = self.model
            seen = model.presynaptic(before, f) if model.presynaptic else before[model.spikes]
            current = current + seen.detach() @ theta["R"]
        inside = self.model.activates_inside
        constants = [theta[name] for name in self.model.constants]
        after = self.model.step(current, before, constants, f if inside else SPIKES[self.surrogate])
        out = after[self.model.output]
        return after[: len(self.model.states)], out if inside or not activated else f(out)


class Traces:
    """Eligibility vectors and traces of one layer, of all samples."""

    def __init__(self, layer: Layer, memory: bool, activated: bool):
        self.layer, self.memory, self.activated = layer, memory, activated
        self.vectors: dict[tuple[int, str], Tensor] = {}

    def advance(self, theta, before, x, b):
        """Derivatives of the output of sample b, ``[N, entries]`` by name."""
        names, states = list(theta), len(before)
        n_states = states * theta["W"].shape[1]

        def f(*arguments):
            changed = {**theta, **dict(zip(names, arguments[states:], strict=True))}
            after, out = self.layer.step(changed, arguments[:states], x, self.activated)
            return torch.cat([*after, out])

        jacobians = torch.autograd.functional.jacobian(f, (*before, *(theta[name] for name in names)))
        found = {}
        for name, own in zip(names, jacobians[states:], strict=True):
            rows = own.reshape(own.shape[0], -1)
            if self.memory and before and (b, name) in self.vectors:
                rows = rows + torch.cat(list(jacobians[:states]), dim=1) @ self.vectors[b, name]
            self.vectors[b, name], found[name] = rows[:n_states], rows[n_states:]
        return found


def run_eprop(
    hidden,
    outputs,
    x,
    targets,
    states,
    optimizer,
    *,
    feedback,
    steps,
    eligibility,
    every,
    mean_error=False,
    gamma=0.0,
    alpha=0.0,
    clip=None,
    symmetric=False,
    decays_per_layer=False,
):
    """Train a chain of hidden layers with one readout on one batch, as the equations say; returns the predictions.

    `feedback` holds per hidden layer a matrix ``[n_out, N]`` by raw parameter, or one under ``"shared"``. Beyond the
    steps of `x` the network reads its last output. With `symmetric` the last hidden layer follows the readout's
    weights. With `decays_per_layer` all traces decay at the call of every hidden layer, as in NeuroTorch.
    """
    published = eligibility == "published"
    layers = [*hidden, outputs]
    traces = [Traces(one, published, one is not outputs or not published) for one in layers]
    filtered = [{} for _ in layers]
    gradients = [{name: torch.zeros_like(one.raw[name]) for name in one.learned} for one in layers]
    batch, predictions = x.shape[0], []
    for t in range(steps):
        theta = [{name: value.detach() for name, value in one.effective().items()} for one in layers]
        before, states, out = states, [], x[:, t] if t < x.shape[1] else predictions[-1]
        read = []
        for one, values, start in zip(layers, theta, before, strict=True):
            read.append(out)
            results = [one.step(values, [s[b] for s in start], out[b]) for b in range(batch)]
            states.append([torch.stack(rows) for rows in zip(*[after for after, _ in results], strict=True)])
            out = torch.stack([result for _, result in results])
        predictions.append(out)
        first = steps - targets.shape[1]
        error = out - targets[:, t - first] if t >= first else torch.zeros_like(out)
        seen = error.mean(0, keepdim=True).expand_as(error) if mean_error else error
        for k, (one, trace) in enumerate(zip(layers, traces, strict=True)):
            is_output = one is outputs
            for b in range(batch):
                found = trace.advance(theta[k], [s[b] for s in before[k]], read[k][b], b)
                for name, e in found.items():
                    poles = [] if is_output else outputs.poles if published else [gamma]
                    if decays_per_layer and not is_output:
                        e, poles = gamma ** (len(hidden) - 1 - k) * e, [gamma ** len(hidden)]
                    for q, pole in enumerate(poles):
                        e = filtered[k][b, name, q] = pole * filtered[k].get((b, name, q), 0.0) + e
                    for raw in one.learned:
                        if is_output:
                            signal = error[b] if published else error[b] * 2 / error.numel()
                        elif symmetric and one is hidden[-1]:
                            signal = seen[b] @ theta[-1]["W"].T
                        else:
                            own = feedback[k]
                            signal = seen[b] @ (own["shared"] if "shared" in own else own[raw])
                        part = (signal.expand(e.shape[0]) @ e).reshape(theta[k][name].shape)
                        _add(filtered[k], ("sum", raw, name), part)
        for k, one in enumerate(layers):
            for raw in one.learned:
                for name in theta[k]:
                    part = filtered[k].pop(("sum", raw, name), None)
                    if part is None:
                        continue
                    if one is outputs and not published:
                        part = filtered[k][raw, name] = alpha * filtered[k].get((raw, name), 0.0) + part
                    effective = one.effective()[name]
                    if effective.requires_grad:
                        (grad,) = torch.autograd.grad(effective, one.raw[raw], part, allow_unused=True)
                        if grad is not None:
                            gradients[k][raw] += grad
        if t >= first and ((t + 1) % every == 0 or t + 1 == steps):
            _update(layers, gradients, optimizer, clip)
    return torch.stack(predictions, 1)


def _add(sums, key, part):
    sums[key] = sums[key] + part if key in sums else part


def _update(layers, gradients, optimizer, clip):
    for one, own in zip(layers, gradients, strict=True):
        for name, grad in own.items():
            one.raw[name].grad = grad.clone()
            grad.zero_()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([o.raw[n] for o in layers[:-1] for n in o.learned], clip)
        torch.nn.utils.clip_grad_norm_([layers[-1].raw[n] for n in layers[-1].learned], clip)
    optimizer.step()


def bellec_gradients(
    x, target, w_in, w_rec, w_out, bias, feedback, alpha, threshold, height, kappa, deltas=None, discount=0.0
):
    """Bellec et al. (2020), doi:10.1038/s41467-020-17236-y: LIF neurons, equations 22, 28 and 4, one sample, gradients
    of ``1/2 sum_t |y_t - y*_t|^2`` as e-prop has them. No self-connections. Returns those of w_in, w_rec, w_out.

    With `deltas` ``[T]`` those of reward-based e-prop: what every step adds is filtered with the discount and
    multiplied with the prediction error of the reward."""
    n = w_rec.shape[0]
    v, z = x.new_zeros(n), x.new_zeros(n)
    x_bar, z_bar, z_kappa = x.new_zeros(x.shape[1]), x.new_zeros(n), x.new_zeros(n)
    e_in, e_rec, y = torch.zeros_like(w_in), torch.zeros_like(w_rec), x.new_zeros(w_out.shape[1])
    grads = filtered = [torch.zeros_like(w) for w in (w_in, w_rec, w_out)]
    others = 1 - torch.eye(n, dtype=x.dtype)
    width = threshold + 1e-5  # as the surrogate of the library has it
    for t in range(x.shape[0]):
        x_bar, z_bar = alpha * x_bar + x[t], alpha * z_bar + z
        v = alpha * v + x[t] @ w_in + z @ (w_rec * others) - z * threshold
        z = (v >= threshold).to(v.dtype)
        psi = height / width * torch.clamp(1 - ((v - threshold) / width).abs(), min=0)
        e_in = kappa * e_in + torch.outer(x_bar, psi)
        e_rec = kappa * e_rec + torch.outer(z_bar, psi) * others
        z_kappa = kappa * z_kappa + z
        y = kappa * y + z @ w_out + bias
        error = y - target[t]
        learning_signal = error @ feedback
        parts = (learning_signal * e_in, learning_signal * e_rec, torch.outer(z_kappa, error))
        filtered = [discount * before + part for before, part in zip(filtered, parts, strict=True)]
        delta = 1.0 if deltas is None else deltas[t]
        grads = [grad + delta * part for grad, part in zip(grads, filtered, strict=True)]
    return grads
