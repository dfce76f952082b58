"""Recursive least squares against recorded training runs, against the closed solution, and as FORCE learning."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from training_runs import load, optimizer_arguments, run_again

from neurotorch import RLS, CheckpointManager, LILayer, Linear, SequentialRNN, Trainer
from neurotorch.datasets import simulate_three_regions
from neurotorch.functional import RlsRule, rls_update_
from neurotorch.learning_algorithms.bptt import NonFiniteError
from neurotorch.modules.layers import SpyLIFLayerLPF, WilsonCowanCURBDLayer, WilsonCowanLayer
from neurotorch.utils import ConnectivityConvention

CASES = sorted(path.stem for path in (GOLDEN / "learning").glob("rls_*.npz") if path.stem != "rls_curbd_step")


class Steps(RLS):
    """Records what every step gets, and P after it."""

    def optimization_step(self, x_batch, pred_batch, y_batch):
        before = [p.detach().clone() for p in self.params]
        super().optimization_step(x_batch, pred_batch, y_batch)
        after = [p.detach().clone() for p in self.params]
        self.seen = [*getattr(self, "seen", []), (x_batch, pred_batch.detach(), y_batch, self.P_list[0].clone())]
        self.moved = [*getattr(self, "moved", []), (before, after)]


@pytest.mark.parametrize("case", CASES)
def test_matches_recorded_run(case):
    archive, meta = load(case)
    cls, arguments = optimizer_arguments(meta)
    algorithm = Steps(
        strategy=meta["strategy"],
        is_recurrent=meta["is_recurrent"],
        **{name: meta[name] for name in ("Lambda", "delta", "kappa")},
        default_optimizer_cls=cls,
        default_optim_kwargs=arguments,
    )
    _, record = run_again(archive, meta, algorithm)
    np.testing.assert_allclose(torch.stack(record.predictions), archive["pred"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(record.losses, archive["train_loss"], rtol=1e-5)
    (name,) = meta["params"]
    assert len(algorithm.seen) == len(archive["rls_x"])
    for step, (x, pred, y, inverse) in enumerate(algorithm.seen):
        for found, key in ((x, "rls_x"), (pred, "rls_pred"), (y, "rls_y"), (inverse, "P/0")):
            np.testing.assert_allclose(found, archive[key][step], rtol=1e-4, atol=1e-5, err_msg=key)
        # The pseudo-inverse of a nearly singular matrix multiplies rounding.
        tolerance = 1e-4 if meta["strategy"] == "scaled_jacobian" else 1e-5
        moved = algorithm.moved[step][1][0]
        np.testing.assert_allclose(moved, archive[f"after/{name}"][step], rtol=1e-4, atol=tolerance)


def test_recorded_step_of_curbd():
    with np.load(GOLDEN / "learning" / "rls_curbd_step.npz") as file:
        data = {key: torch.from_numpy(file[key]) for key in file.files}
    arguments = data["P"], data["post_activation"], data["error"]
    weights, inverse = RLS.curbd_step_method(*arguments)
    torch.testing.assert_close(weights, data["delta_weights_itoj"])
    torch.testing.assert_close(inverse, data["delta_inv_corr"])
    weights, _ = RLS.curbd_step_method(*arguments, connectivity_convention=ConnectivityConvention.JtoI)
    torch.testing.assert_close(weights, data["delta_weights_jtoi"])
    with pytest.raises(ValueError, match="connectivity_convention: expected ItoJ or JtoI, got 3"):
        RLS.curbd_step_method(*arguments, connectivity_convention=3)


# The operator


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 3), (70, 130)])
def test_operator_matches_its_formula(n, m, dtype):
    generator = torch.Generator().manual_seed(n)

    def rand(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inverse, weight = torch.eye(n, dtype=torch.float64) * 2, rand(n, m)
    found, found_weight = inverse.to(dtype, copy=True), weight.to(dtype, copy=True)
    rule = RlsRule(0.9, 0.8, 0.95, 0.7)
    for _ in range(4):
        phi, error = rand(n) / n**0.5, rand(m)
        direction = rls_update_(found, found_weight, phi.to(dtype), error.to(dtype), rule=rule, rate=0.5)
        k = inverse @ phi
        h = 1 / (0.9 + 0.8 * phi @ k)
        weight -= 0.5 * h * torch.outer(k, error)
        inverse = 0.95 * inverse - 0.7 * h * torch.outer(k, k)
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
        torch.testing.assert_close(direction.double(), k, **tolerance)
        torch.testing.assert_close(found.double(), inverse, **tolerance)
        torch.testing.assert_close(found_weight.double(), weight, **tolerance)
        assert torch.equal(found, found.T)


def test_operator_refuses_what_does_not_fit():
    p, w, x, e = torch.eye(3), torch.zeros(3, 2), torch.zeros(3), torch.zeros(2)
    for arguments, name in (
        ((torch.eye(4), w, x, e), "inverse"),
        ((p, torch.zeros(2, 3), x, e), "weight"),
        ((p, w, torch.zeros(3, 1), e), "regressor"),
        ((p, w, x, torch.zeros(1, 2)), "error"),
        ((p, w.double(), x, e), "weight"),
        ((p, w, x.double(), e), "regressor"),
        ((p[:, ::2].expand(3, 2)[:, [0, 1, 1]].T, w, x, e), "inverse"),
        ((p, torch.zeros(2, 3).T, x, e), "weight"),
    ):
        with pytest.raises(ValueError, match=name):
            rls_update_(*arguments)


def regression(batches=30, noise=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    x = torch.randn(batches, 1, 5, generator=generator, dtype=torch.float64)
    y = x @ truth + noise * torch.randn(batches, 1, 3, generator=generator, dtype=torch.float64)
    # In float32 as the trainer hands them on.
    return truth, x.float().double(), y.float().double()


def linear(**options):
    return SequentialRNN([Linear(5, 3, use_bias=False, **options)]).build().double()


def fit(model, loader, algorithm, n_iterations=1, callbacks=(), **options):
    callbacks = [algorithm, *callbacks]
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=callbacks, verbose=False, **options)
    trainer.train(loader, n_iterations=n_iterations)
    return trainer


def ridge(x, y, first, delta, weights):
    """Minimum of the weighted squared errors and of the squared change of weights over delta."""
    rows = x * weights.sqrt().unsqueeze(1)
    targets = (y - x @ first) * weights.sqrt().unsqueeze(1)
    prior = torch.eye(x.shape[1], dtype=x.dtype) / delta
    return first + torch.linalg.solve(rows.T @ rows + prior, rows.T @ targets)


@pytest.mark.parametrize("strategy", ["inputs"])
@pytest.mark.parametrize("forgetting", [1.0, 0.9])
def test_gives_the_least_squares_solution(strategy, forgetting):
    _, x, y = regression(noise=0.3)
    model = linear()
    first = model["output_0"].forward_weights.detach().clone()
    fit(model, list(zip(x, y, strict=True)), RLS(strategy=strategy, delta=10.0, forgetting=forgetting))
    age = torch.arange(len(x) - 1, -1, -1, dtype=torch.float64)
    # The prior is forgotten as well.
    delta = 10.0 / forgetting ** len(x)
    expected = ridge(x[:, 0], y[:, 0], first, delta, forgetting**age)
    torch.testing.assert_close(model["output_0"].forward_weights.detach(), expected, rtol=1e-8, atol=1e-8)


def test_follows_a_target_that_changes_only_when_it_forgets():
    _, x, y = regression()
    found = {}
    for forgetting in (1.0, 0.7):
        model = linear()
        loader = [*zip(x, y, strict=True), *zip(x, -y, strict=True)]
        fit(model, loader, RLS(delta=10.0, forgetting=forgetting))
        found[forgetting] = (x @ model["output_0"].forward_weights + y).square().mean().item()
    assert found[0.7] < 1e-3 < 0.1 < found[1.0]


def test_default_optimiser_keeps_the_gain():
    algorithm = RLS()
    _, x, y = regression()
    fit(linear(), list(zip(x, y, strict=True)), algorithm)
    assert type(algorithm.optimizer) is torch.optim.SGD
    assert algorithm.optimizer.param_groups[0]["lr"] == 1.0


def test_any_optimiser_works_unfused():
    """SGD with a momentum of nearly zero takes the other path, to the same numbers."""
    _, x, y = regression()
    loader = list(zip(x, y, strict=True))
    found = []
    for options in ({}, {"default_optim_kwargs": {"lr": 1.0, "momentum": 1e-300}}):
        torch.manual_seed(0)
        model = linear()
        fit(model, loader, RLS(delta=3.0, Lambda=0.95, kappa=0.9, **options))
        found.append(model["output_0"].forward_weights.detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)


# Dale's law


def test_weights_under_dales_law_are_projected():
    truth, x, y = regression(batches=60)
    signs = torch.sign(truth.sum(dim=1, keepdim=True))
    y = x @ (truth.abs() * signs)
    model = linear(force_dale_law=True, forward_sign=signs.numpy())
    layer = model["output_0"]
    before = layer.get_forward_sign_parameter().detach().clone()
    fit(model, list(zip(x, y, strict=True)), RLS(delta=100.0), n_iterations=3)
    assert torch.equal(layer.get_forward_sign_parameter(), before)
    torch.testing.assert_close(layer.forward_weights.detach(), truth.abs() * signs, rtol=1e-2, atol=1e-2)
    # Targets that ask for the other sign leave a weight at zero.
    fit(model, list(zip(x, -y, strict=True)), RLS(delta=100.0))
    assert (layer.forward_weights.detach() * signs >= 0).all()
    assert (layer.forward_weights.detach() == 0).any()


def test_dales_law_needs_a_plain_optimiser():
    _, x, y = regression(batches=2)
    loader = list(zip(x, y, strict=True))
    with pytest.raises(ValueError, match="optimizer: weights under Dale's law need SGD"):
        fit(linear(force_dale_law=True), loader, RLS(default_optimizer_cls=torch.optim.AdamW))
    with pytest.raises(
        ValueError, match="strategy: weights under Dale's law need one of inputs, outputs, presynaptic, got grad"
    ):
        fit(linear(force_dale_law=True), loader, RLS(strategy="grad"))


# FORCE


def chaotic(n=60, steps=200, seed=0):
    """A network, noise that drives it, its first state, and the rates of another network to reproduce."""
    generator = torch.Generator().manual_seed(seed)
    teacher = 1.5 / n**0.5 * torch.randn(n, n, generator=generator)
    h, rates = torch.rand(n, generator=generator) * 2 - 1, []
    for _ in range(steps):
        rates.append(torch.tanh(h))
        h = h + 0.1 * (torch.tanh(h) @ teacher - h)
    target = torch.stack(rates)
    noise = 0.01 * torch.randn(1, steps, n, generator=generator)
    torch.manual_seed(seed)
    layer = WilsonCowanCURBDLayer(
        n,
        n,
        dt=0.01,
        tau=0.1,
        activation="tanh",
        use_recurrent_connection=True,
        forward_weights=torch.eye(n),
        hh_init="given",
        h0=(torch.atanh(target[:1]),),
    )
    return SequentialRNN([layer], hh_memory_size=1).build(), layer, noise, target.unsqueeze(0)


def pvar(model, x, y):
    with torch.no_grad():
        pred = model.get_prediction_trace(x)
    return 1 - float((pred - y).square().mean() / y.var())


def force(layer, kind=RLS, strategy="outputs", **options):
    return kind(params=[layer.get_recurrent_weights_parameter()], strategy=strategy, is_recurrent=True, **options)


def test_force_reproduces_the_rates_of_another_network():
    model, layer, x, y = chaotic()
    forward = layer.forward_weights.detach().clone()
    assert pvar(model, x, y) < 0.5
    fit(model, [(x, y)], force(layer), n_iterations=30)
    assert pvar(model, x, y) > 0.99
    assert torch.equal(layer.forward_weights, forward)


def three_regions(seed):
    """The simulated regions, and a network that gets weak noise, filtered over 0.1 s."""
    activity = torch.tensor(simulate_three_regions(seed=seed).activity, dtype=torch.float32)
    steps, n = activity.shape
    white = 0.01 * torch.randn(steps, n, generator=torch.Generator().manual_seed(seed))
    noise = torch.zeros(steps, n)
    for t in range(1, steps):
        noise[t] = 0.9 * noise[t - 1] + 0.1**0.5 * white[t]
    torch.manual_seed(seed)
    layer = WilsonCowanCURBDLayer(
        n,
        n,
        dt=0.01,
        tau=0.1,
        activation="tanh",
        use_recurrent_connection=True,
        forward_weights=torch.eye(n),
        hh_init="given",
        h0=(torch.atanh(activity[:1].clamp(-0.999, 0.999)),),
    )
    return SequentialRNN([layer], hh_memory_size=1).build(), layer, noise.unsqueeze(0), activity.unsqueeze(0)


def test_regions_are_simulated_as_published():
    found = simulate_three_regions(20, duration=2.0, lead_in=0.5, seed=1)
    assert found.activity.shape == (251, 60)
    assert list(found.regions) == ["A", "B", "C"]
    for columns in found.regions.values():
        assert np.abs(found.activity[:, columns]).max() == pytest.approx(1.0)
    between = found.weights[found.regions["A"], found.regions["B"]]
    assert np.count_nonzero(between) == 1
    assert between.max() == 0.02
    again = simulate_three_regions(20, duration=2.0, lead_in=0.5, seed=1)
    np.testing.assert_array_equal(found.activity, again.activity)


def passes_above(seed, limit, most, **options):
    """Passes over three regions until a free run is above a limit."""
    model, layer, x, y = three_regions(seed)
    algorithm = force(layer, **options)
    for passes in range(5, most + 1, 5):
        fit(model, [(x, y)], algorithm, n_iterations=5)
        if pvar(model, x, y) > limit:
            return passes
    pytest.fail(f"pVar {pvar(model, x, y):.4f} after {most} passes")


@pytest.mark.parametrize("seed", range(5))
def test_force_reproduces_three_regions(seed):
    assert passes_above(seed, 0.99, 100, strategy="inputs") <= 50


@pytest.mark.parametrize("options", [{}, {"forgetting": 0.9999}])
def test_force_with_the_published_regressor_reproduces_three_regions(options):
    assert passes_above(1, 0.99, 100, **options) <= 20


# The native driver


class Stepwise(RLS):
    """The same, window by window in Python."""

    def _make_optim_step(self, **kwargs):
        super()._make_optim_step(**kwargs)


def closed_loop(dtype=torch.float64, dale=False, masked=False, hidden=False, n=9):
    torch.manual_seed(3)
    options = {"use_recurrent_connection": True, "force_dale_law": dale, "hh_init": "zeros"}
    if masked:
        mask = (torch.rand(n, n) < 0.6).to(dtype)
        options |= {"forward_mask": mask, "recurrent_mask": mask.T.contiguous()}
    rates = WilsonCowanCURBDLayer(n, n, dt=0.01, tau=0.05, activation="tanh", name="rates", **options)
    layers = [LILayer(n, n), rates] if hidden else [rates]
    return SequentialRNN(layers, foresight_time_steps=8, hh_memory_size=1).build().to(dtype), rates


def trained(kind, model, layer, batches, **options):
    forward, recurrent = layer.get_forward_weights_parameter(), layer.get_recurrent_weights_parameter()
    chosen = [p for p in (forward if options.get("strategy") != "outputs" else None, recurrent) if p is not None]
    algorithm = kind(params=chosen, is_recurrent=True, **options)
    trainer = fit(model, batches, algorithm, n_iterations=2)
    return algorithm, trainer.training_history["train_loss"]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "inputs"},
        {"strategy": "outputs"},
        {"strategy": "inputs", "Lambda": 0.95, "kappa": 0.8, "params_lr": 0.5},
        {"strategy": "outputs", "Lambda": 0.95, "kappa": 0.8, "delta": 0.3},
        {"strategy": "inputs", "forgetting": 0.97},
        {"strategy": "outputs", "forgetting": 0.97},
    ],
)
def test_native_driver_equals_windows(options, dale, masked, hidden):
    generator = torch.Generator().manual_seed(0)
    batches = [
        (
            torch.randn(batch, 5, 9, generator=generator, dtype=torch.float64),
            torch.rand(batch, 8, 9, generator=generator, dtype=torch.float64),
        )
        for batch in (3, 3, 1)
    ]
    found = []
    for kind in (RLS, Stepwise):
        model, layer = closed_loop(dale=dale, masked=masked, hidden=hidden)
        algorithm, history = trained(kind, model, layer, batches, **options)
        found.append((model, algorithm, history))
    (model, algorithm, history), (other, stepwise, expected) = found
    assert algorithm.engine == "native driver"
    assert stepwise.engine == "window by window: Stepwise defines its own _make_optim_step"
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    for a, b in zip(algorithm.P_list, stepwise.P_list, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
        assert torch.equal(a, a.T)
    torch.testing.assert_close(algorithm._last_outputs, stepwise._last_outputs, rtol=1e-9, atol=1e-10)
    assert history == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dale", [False, True])
def test_threads_share_the_native_driver_without_a_trace(dtype, dale):
    def run(threads):
        torch.set_num_threads(threads)
        model, layer = closed_loop(dtype, dale=dale, n=280)
        x = torch.zeros(1, 5, 280, dtype=dtype)
        y = torch.rand(1, 8, 280, generator=torch.Generator().manual_seed(1), dtype=dtype)
        algorithm, _ = trained(RLS, model, layer, [(x, y)], strategy="inputs")
        return [*model.parameters(), *algorithm.P_list]

    before = torch.get_num_threads()
    try:
        alone, team = run(1), run(2)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, team, strict=True))


@pytest.mark.parametrize("hidden", ["rates", "spikes"])
@pytest.mark.parametrize("options", [{}, {"forgetting": 0.98}, {"Lambda": 0.9, "kappa": 0.7, "params_lr": 4.0}])
def test_presynaptic_equals_steps_written_out(hidden, options):
    """A readout in closed loop, against the same network stepped by its layers and NumPy."""

    def network():
        torch.manual_seed(1)
        cls, own = (WilsonCowanLayer, {}) if hidden == "rates" else (SpyLIFLayerLPF, {"gamma": 1.0})
        made = cls(6, 20, dt=0.1, hh_init="zeros", **own)
        readout = Linear(20, 6, activation="sigmoid", use_bias=False)
        model = SequentialRNN([made, readout], foresight_time_steps=9, out_memory_size=9, hh_memory_size=1).build()
        return model.double(), made, readout

    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 3, 6, generator=generator), torch.rand(2, 9, 6, generator=generator)
    model, layer, readout = network()
    algorithm = RLS(
        params=[readout.get_forward_weights_parameter()], strategy="presynaptic", is_recurrent=True, **options
    )
    fit(model, [(x, y)], algorithm, n_iterations=1)
    assert algorithm.engine == "native driver"

    _, layer, other = network()
    weights, inverse, state = other.forward_weights.detach().clone(), torch.eye(20, dtype=torch.float64), None
    gain, kappa, factor = options.get("Lambda", 1.0), options.get("kappa", 1.0), options.get("forgetting")
    out = None
    with torch.no_grad():
        for t in range(11):
            seen, state = layer(x[:, t].double() if t < 3 else out, state)
            out = torch.sigmoid(seen @ weights)
            if t < 2:
                continue
            phi, error = seen.mean(0), (out - y[:, t - 2]).mean(0)
            k = inverse @ phi
            h = 1.0 / ((factor or gain) + (1.0 if factor else kappa) * (phi @ k))
            weights = weights - options.get("params_lr", 1.0) * h * torch.outer(k, error)
            taken = h * torch.outer(k, k)
            inverse = (inverse - taken) / factor if factor else gain * inverse - kappa * taken
    torch.testing.assert_close(readout.forward_weights.detach(), weights, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(algorithm.P_list[0], inverse, rtol=1e-9, atol=1e-11)


def test_presynaptic_says_what_it_needs():
    with pytest.raises(ValueError, match="is_recurrent: expected True with strategy presynaptic, got False"):
        RLS(strategy="presynaptic")
    model, layer = closed_loop(hidden=True)
    batches = [(torch.zeros(1, 5, 9), torch.rand(1, 8, 9))]
    first = next(iter(model.input_layers.values()))
    with pytest.raises(ValueError, match="learns the weights of the output layer only"):
        trained(RLS, model, first, batches, strategy="presynaptic")
    with pytest.raises(NotImplementedError, match="needs the native driver, but its windows have 2 steps"):
        trained(RLS, model, layer, batches, strategy="presynaptic", backward_time_steps=2)


@pytest.mark.parametrize("kind", [RLS, Stepwise])
def test_an_error_that_is_not_finite_changes_nothing(kind):
    model, layer = closed_loop()
    before = [p.detach().clone() for p in model.parameters()]
    y = torch.full((1, 8, 9), 0.5, dtype=torch.float64)
    y[0, 0, 3] = torch.nan
    with pytest.raises(NonFiniteError, match="the error is not finite under strategy 'inputs'; look for NaN"):
        trained(kind, model, layer, [(torch.zeros(1, 5, 9, dtype=torch.float64), y)], strategy="inputs")
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old)


@pytest.mark.parametrize("kind", [RLS, Stepwise])
def test_a_P_that_is_not_finite_is_named(kind):
    model, layer = closed_loop()
    batches = [(torch.ones(1, 5, 9), torch.rand(1, 8, 9, generator=torch.Generator().manual_seed(0)))]
    with pytest.raises(NonFiniteError, match="P is not finite under strategy 'inputs'; try a smaller delta"):
        trained(kind, model, layer, batches, strategy="inputs", delta=1e300, kappa=1e300)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"strategy": "grad"}, "strategy grad"),
        ({"strategy": "inputs", "backward_time_steps": 2}, "its windows have 2 steps"),
        ({"strategy": "inputs", "weight_decay": 0.1}, "its optimiser is not plain SGD"),
    ],
)
def test_what_runs_window_by_window_says_why(options, reason):
    model, layer = closed_loop()
    batches = [(torch.zeros(1, 5, 9, dtype=torch.float64), torch.rand(1, 8, 9, dtype=torch.float64))]
    algorithm, _ = trained(RLS, model, layer, batches, **options)
    assert algorithm.engine == f"window by window: {reason}"


def test_force_equals_steps_written_out():
    model, layer, x, y = chaotic(n=12, steps=20)
    weight = layer.recurrent_weights.detach().double().clone()
    inverse, h = torch.eye(12, dtype=torch.float64), torch.atanh(y[0, 0]).double()
    for t in range(20):
        r = torch.tanh(h)
        h = h + 0.1 * (r @ weight + x[0, t] - h)
        k = inverse @ r
        c = 1 / (1 + r @ k)
        weight -= c * torch.outer(k, r - y[0, t])
        inverse -= c * torch.outer(k, k)
    algorithm = force(layer)
    fit(model, [(x, y)], algorithm)
    torch.testing.assert_close(layer.recurrent_weights.detach().double(), weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(algorithm.P_list[0].double(), inverse, rtol=1e-3, atol=1e-4)


def test_resumed_run_is_bit_identical(tmp_path):
    def run(folder, iterations):
        model, layer, x, y = chaotic(n=12, steps=20)
        algorithm = force(layer, forgetting=0.99)
        manager = CheckpointManager(str(folder), save_freq=1)
        fit(model, [(x, y)], algorithm, n_iterations=iterations, callbacks=[manager])
        return model, algorithm

    whole, algorithm = run(tmp_path / "whole", 4)
    run(tmp_path / "cut", 2)
    resumed, other = run(tmp_path / "cut", 4)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(algorithm.P_list[0], other.P_list[0])


# Errors


def test_arguments_out_of_range():
    for options, message in (
        ({"strategy": "fast"}, "strategy: expected one of inputs, outputs, presynaptic, grad"),
        ({"Lambda": 0.0}, "Lambda: expected more than 0 and at most 1, got 0.0"),
        ({"Lambda": 1.1}, "Lambda: expected more than 0"),
    ):
        with pytest.raises(AssertionError, match=message):
            RLS(**options)
    for options, message in (
        ({"forgetting": 0.0}, "forgetting: expected more than 0"),
        ({"delta": 0.0}, "delta: expected a positive number, got 0.0"),
        ({"forgetting": 0.9, "Lambda": 0.9}, "forgetting: goes with"),
        ({"forgetting": 0.9, "strategy": "grad"}, "forgetting: goes with"),
    ):
        with pytest.raises(ValueError, match=message):
            RLS(**options)


def test_weights_that_do_not_fit_the_strategy():
    _, x, y = regression(batches=2)
    loader = list(zip(x, y, strict=True))
    with pytest.raises(ValueError, match=r"params: strategy outputs needs weights of shape \[3, 3\], got \[5, 3\]"):
        fit(linear(), loader, RLS(strategy="outputs"))
    two = SequentialRNN([Linear(5, 5, use_bias=False), Linear(5, 3, use_bias=False)]).build().double()
    with pytest.raises(ValueError, match=r"params: strategy inputs needs weights of shape \[5, 3\], got \[5, 5\]"):
        fit(two, loader, RLS())
    with pytest.raises(ValueError, match="params: strategy outputs learns exactly one matrix, got 2"):
        fit(two, loader, RLS(strategy="outputs"))
    with pytest.raises(ValueError, match="params: expected at least one parameter"):
        fit(linear(freeze_weights=True), loader, RLS())


def test_an_inverse_that_is_not_finite_raises():
    _, x, y = regression(batches=4)
    with pytest.raises(NonFiniteError, match="RLS: P is not finite under strategy 'jacobian'"):
        fit(linear(), list(zip(x, y * 1e30, strict=True)), RLS(strategy="jacobian", delta=1e200), n_iterations=9)


def test_recurrent_learning_needs_a_network():
    trainer = Trainer(torch.nn.Linear(5, 3), callbacks=[RLS(is_recurrent=True)], verbose=False)
    with pytest.raises(ValueError, match="model: RLS needs a SequentialRNN, got Linear"):
        trainer.train([], n_iterations=1)


def test_frozen_weights_and_signs_are_left_out():
    model = SequentialRNN([Linear(5, 5, freeze_weights=True), LILayer(5, 3, force_dale_law=True, use_bias=False)])
    model.build().double()
    algorithm = RLS()
    _, x, y = regression(batches=2)
    frozen = [p.detach().clone() for p in model.parameters()]
    fit(model, list(zip(x, y, strict=True)), algorithm)
    assert algorithm.params == [model["output_0"].get_forward_weights_parameter()]
    changed = [not torch.equal(p, q) for p, q in zip(model.parameters(), frozen, strict=True)]
    assert sum(changed) == 1
