"""The engines of e-prop: agreement, adaptive feedback, checkpoints, memory, seeds, errors."""

import itertools
import math
import resource

import pytest
import torch
from test_eprop import SGD, STILL, assert_same_change, build, data, own_class, train, values
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import L2, CheckpointManager, Eprop, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback, LoadCheckpointMode
from neurotorch.modules import layers as layer_classes
from neurotorch.modules.layers import FiringRateLayer, LIFLayer, LILayer, Linear, LinearJtoI, LinearRNN, SpyLIFLayer

VARIANTS = list(
    itertools.product(["instantaneous", "published"], ["random", "symmetric", "adaptive"], ["per_sample", "mean_error"])
)


@pytest.mark.parametrize("kind", [torch.optim.SGD, own_class(torch.optim.SGD)], ids=["native", "torch"])
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(("eligibility", "feedback", "reduction"), VARIANTS)
def test_one_update_at_the_end_is_that_of_the_sequence(eligibility, feedback, reduction, closed, kind):
    x, y = data(10, 3 if closed else None, 5 if closed else 3)
    made = []
    for update in ("sequence", 12 if closed else 10):
        model = build("SpyLIFLayer", "LILayer", two=True, foresight=10 if closed else 0, n_out=y.shape[2])
        before = values(model)
        rule = Eprop(
            eligibility=eligibility,
            feedback=feedback,
            batch_reduction=reduction,
            update=update,
            gamma=0.3,
            alpha=0.2,
            **{**SGD, "default_optimizer_cls": kind if update != "sequence" else torch.optim.SGD},
        )
        train(model, rule, x, y)
        made.append((values(model), rule.feedback_weights["default_key"]))
    assert_same_change(made[1][0], made[0][0], before, 1e-9)
    for own, other in zip(made[0][1], made[1][1], strict=True):
        torch.testing.assert_close(own, other)


def concatenated():
    inputs = {"a": LIFLayer(4, 5, name="a", gamma=1.0), "b": SpyLIFLayer(3, 6, name="b", gamma=1.0)}
    return [inputs, LILayer(11, 2, name="o")]


def two_loops():
    inputs = {"a": LIFLayer(4, 5, name="a", gamma=1.0), "b": SpyLIFLayer(3, 6, name="b", gamma=1.0)}
    return [inputs, LIFLayer(11, 7, name="h", gamma=1.0), {"p": LILayer(7, 4, name="p"), "q": LILayer(7, 3, name="q")}]


NETWORKS = {
    "concatenated inputs": (concatenated, {"a": (5, 8, 4), "b": (5, 8, 3)}, (5, 8, 2)),
    "two loops": (two_loops, {"a": (3, 2, 4), "b": (3, 2, 3)}, {"p": (3, 6, 4), "q": (3, 6, 3)}),
    "activations": (
        lambda: [
            Linear(4, 5, name="a", activation="tanh"),
            LILayer(5, 6, name="h", activation="relu"),
            Linear(6, 2, name="o"),
        ],
        (2, 7, 4),
        (2, 7, 2),
    ),
    "linear recurrence": (
        lambda: [
            LinearRNN(4, 5, name="a", activation="tanh", use_recurrent_connection=True),
            Linear(5, 4, name="o"),
        ],
        (2, 3, 4),
        (2, 5, 4),
    ),
    "spiking readout": (
        lambda: [
            LIFLayer(4, 5, name="a", gamma=1.0),
            SpyLIFLayer(5, 3, name="o", gamma=1.0, use_recurrent_connection=True),
        ],
        (2, 9, 4),
        (2, 9, 3),
    ),
    "transformed weights": (
        lambda: [
            FiringRateLayer(4, 4, name="a", learn_r=True, r=0.2),
            LinearJtoI(4, 5, name="h"),
            Linear(5, 2, name="o"),
        ],
        (2, 7, 4),
        (2, 7, 2),
    ),
    "constant target": (
        lambda: [LIFLayer(4, 5, name="a", gamma=1.0), LILayer(5, 3, name="o")],
        (9, 9, 4),
        (9, 3),
    ),
}


def random_tensors(shapes):
    if isinstance(shapes, dict):
        return {name: 2 * torch.rand(shape).double() for name, shape in shapes.items()}
    return 2 * torch.rand(shapes).double()


@pytest.mark.parametrize("eligibility", ["instantaneous", "published"])
@pytest.mark.parametrize("feedback", ["random", "symmetric", "adaptive"])
@pytest.mark.parametrize("network", NETWORKS)
def test_engines_agree_on_every_kind_of_network(network, feedback, eligibility):
    layers, x, y = NETWORKS[network]
    torch.manual_seed(3)
    x, y = random_tensors(x), random_tensors(y)
    given = (x["a"] if isinstance(x, dict) else x).shape[1]
    steps = max([given, *(t.shape[1] for t in (y.values() if isinstance(y, dict) else [y]) if t.dim() == 3)])
    foresight = steps if steps > given else 0
    made = []
    for update, kind in (("sequence", torch.optim.SGD), (99, torch.optim.SGD), (99, own_class(torch.optim.SGD))):
        torch.manual_seed(1)
        model = SequentialRNN(layers(), device="cpu", foresight_time_steps=foresight).build().double()
        before = values(model)
        rule = Eprop(
            eligibility=eligibility,
            feedback=feedback,
            update=update,
            gamma=0.3,
            alpha=0.2,
            **{**SGD, "default_optimizer_cls": kind},
        )
        trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
        trainer.train([(x, y)], n_iterations=1)
        made.append(values(model))
    assert_same_change(made[1], made[0], before, 1e-8)
    assert_same_change(made[2], made[0], before, 1e-8)
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    assert all(not torch.equal(made[0][name], before[name]) for name in learned)


@pytest.mark.parametrize("update", [1, "sequence"])
@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, own_class(torch.optim.AdamW)])
def test_adaptive_feedback_takes_the_steps_of_the_readout(kind, update):
    """Feedback that starts as the readout stays its transpose: same steps, same decay."""
    x, y = data(6)
    model = build("LIFLayer")
    rule = Eprop(
        feedback="adaptive",
        update=update,
        params_lr=0.01,
        output_params_lr=0.01,
        default_optimizer_cls=kind,
        default_optim_kwargs={"weight_decay": 0.1},
    )
    names = [name for name, _ in model.input_layers["h"].named_parameters()]
    place, readout = names.index("_forward_weights"), model.output_layers["o"].get_forward_weights_parameter()
    first = readout.detach().T.clone()
    rule.feedback_weights = {"default_key": [torch.zeros(3, 1) for _ in names]}
    rule.feedback_weights["default_key"][place] = first.clone()
    train(model, rule, x, y)
    adapted = rule.feedback_weights["default_key"][place]
    assert (adapted - first).abs().max() > 1e-3
    torch.testing.assert_close(adapted, readout.detach().T)


def test_a_criterion_of_ones_own_drives_the_readout():
    """Evaluated at every step; the mean squared error written out gives what the built-in one does."""
    x, y = data(6)
    made = []
    for criterion in (torch.nn.MSELoss(), lambda prediction, target: (prediction - target).square().mean()):
        for update in (1, 3, "sequence"):
            model = build("LIFLayer")
            train(model, Eprop(criterion=criterion, update=update, gamma=0.2, alpha=0.3, **SGD), x, y)
            made.append(values(model))
    for own, other in zip(made[:3], made[3:], strict=True):
        for name, value in own.items():
            torch.testing.assert_close(value, other[name], msg=name)


def test_the_engine_says_why_gradients_go_through_torch():
    x, y = data(3)
    adam = torch.optim.Adam
    for name, arguments, expected in (
        ("LIFLayer", {}, "native driver"),
        ("LIFLayer", {"update": "sequence"}, "fused sequence"),
        ("LIFLayer", {"default_optimizer_cls": adam}, "native driver, gradients through torch: its optimiser is Adam"),
        ("WilsonCowanLayer", {}, "native driver"),
    ):
        rule = Eprop(**arguments)
        train(build(name), rule, x, y)
        assert rule.engine == expected
    torch.manual_seed(0)
    model = SequentialRNN([layer_classes.FiringRateLayer(5, 5, learn_r=True), LILayer(5, 3)]).build().double()
    rule = Eprop()
    train(model, rule, x, y)
    assert rule.engine.endswith("FiringRateLayer transforms its weights")


@pytest.mark.parametrize("update", [2, "sequence"])
def test_predictions_are_the_models_with_a_teacher_and_given_states(update):
    """Without learning rates the rule predicts what the model does without it."""
    x, y = data(9, 3, 5)
    model = build("SpyLIFLayer", two=True, foresight=9, n_out=5)
    model.hh_memory_size = 4
    state = tuple(torch.rand(2, 4).double() for _ in range(3))
    arguments = {"init_hidden_states": {"g": state}, "teacher": torch.rand(2, 11, 5), "teacher_weight": 0.3}
    expected = model(x, **arguments)
    rule = Eprop(update=update, **STILL)
    trainer = Trainer(model, callbacks=[rule], verbose=False)
    rule.start(trainer)
    trainer.update_state_(batch_is_train=True, y_batch=y)
    rule.on_batch_begin(trainer)
    actual = model(x, **arguments)
    rule.on_batch_end(trainer)
    torch.testing.assert_close(actual, expected, check_stride=False)


@pytest.mark.parametrize("eligibility", ["instantaneous", "published"])
def test_learned_decay_of_the_readout(eligibility):
    x, y = data(7)
    made = []
    for update, kind in (("sequence", torch.optim.SGD), (7, torch.optim.SGD), (7, own_class(torch.optim.SGD))):
        torch.manual_seed(1)
        readout = LILayer(6, 3, name="o", learn_kappa=True)
        model = SequentialRNN([LIFLayer(5, 6, name="h", gamma=1.0), readout], device="cpu").build().double()
        before = values(model)
        train(model, Eprop(update=update, eligibility=eligibility, **{**SGD, "default_optimizer_cls": kind}), x, y)
        assert readout.kappa != before["output_layers.o.kappa"]
        made.append(values(model))
    assert_same_change(made[1], made[0], before, 1e-9)
    assert_same_change(made[2], made[0], before, 1e-9)


def test_several_outputs_with_targets_by_name():
    torch.manual_seed(0)
    x = torch.rand(2, 7, 5).double()
    y = {"a": torch.rand(2, 7, 3).double(), "b": torch.rand(2, 7, 2).double()}
    made = []
    for update in ("sequence", 7):
        torch.manual_seed(1)
        outputs = {"a": LILayer(6, 3, name="a"), "b": LILayer(6, 2, name="b")}
        model = SequentialRNN([LIFLayer(5, 6, name="h", gamma=1.0), outputs], device="cpu").build().double()
        before = values(model)
        rule = Eprop(update=update, eligibility="published", **SGD)
        trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
        trainer.train([(x, y)], n_iterations=1)
        assert list(rule.feedback_weights) == ["a", "b"]
        made.append(values(model))
    assert_same_change(made[1], made[0], before, 1e-9)


def test_firing_rates_move_to_their_target():
    torch.manual_seed(0)
    x, y = torch.rand(4, 40, 5), torch.zeros(4, 40, 2)
    rates = []
    for coefficient in (0.0, 20.0):
        torch.manual_seed(1)
        hidden = SpyLIFLayer(5, 20, name="h", gamma=1.0, forward_weights=torch.rand(5, 20) * 0.3)
        silent = LILayer(20, 2, name="o", forward_weights=torch.zeros(20, 2))
        model = SequentialRNN([hidden, silent], device="cpu").build()
        rule = Eprop(
            eligibility="published",
            update="sequence",
            rate_target=0.1,
            rate_coeff=coefficient,
            params_lr=5e-3,
            output_params_lr=0.0,
            seed=1,
        )
        train(model, rule, x, y, iterations=60)
        rates.append(hidden(x)[0].mean().item())
    assert abs(rates[1] - 0.1) < 0.03 < abs(rates[0] - 0.1)


@pytest.mark.parametrize("update", [1, "sequence"])
def test_learns_a_pattern(update):
    torch.manual_seed(0)
    x = (torch.rand(1, 60, 20) < 0.2).float()
    y = torch.sin(torch.linspace(0, 6.28, 60)).reshape(1, 60, 1)
    model = SequentialRNN(
        [LIFLayer(20, 40, name="h", gamma=1.0, use_recurrent_connection=True), LILayer(40, 1, name="o")], device="cpu"
    ).build()
    rule = Eprop(
        eligibility="published",
        feedback="symmetric",
        update=update,
        params_lr=1e-3 if update == 1 else 1e-2,
        output_params_lr=2e-3 if update == 1 else 2e-2,
        weight_decay=0,
    )
    watch = Losses()
    train(model, rule, x, y, iterations=100, callbacks=[watch])
    assert watch.losses[-1] < 0.2 * watch.losses[0]


class Losses(BaseCallback):
    def __init__(self):
        super().__init__(priority=90, save_state=False)
        self.losses = []

    def on_iteration_end(self, trainer, **kwargs):
        self.losses.append(trainer.state.train_loss)


# ---- checkpoints, seeds, memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback", ["random", "adaptive"])
@pytest.mark.parametrize("update", [1, 3, "sequence"])
def test_resumes_bit_for_bit(update, feedback, tmp_path):
    x, y = data(8)

    def run(folder, iterations, mode=None, seed=1):
        model = build("SpyLIFLayer", seed=seed).float()
        manager = CheckpointManager(str(folder), save_freq=1)
        rule = Eprop(update=update, feedback=feedback, params_lr=1e-3, output_params_lr=1e-3, seed=seed)
        trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule, manager], verbose=False)
        loader = DataLoader(TensorDataset(x.float(), y.float()), batch_size=len(x))
        trainer.train(loader, n_iterations=iterations, load_checkpoint_mode=mode)
        return values(model), rule

    whole, _ = run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 2)
    resumed, rule = run(tmp_path / "parts", 4, LoadCheckpointMode.LAST_ITR, seed=5)
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
    assert set(rule.get_checkpoint_state(None)) == {"optimizer_state_dict", "feedback_weights"}


def test_the_optimisers_state_is_torchs():
    x, y = data(5)
    states = []
    for kind in (torch.optim.AdamW, own_class(torch.optim.AdamW)):
        model = build("LIFLayer")
        rule = Eprop(default_optimizer_cls=kind, params_lr=1e-3, output_params_lr=1e-3)
        train(model, rule, x, y, iterations=2)
        states.append(rule.optimizer.state_dict()["state"])
    assert states[0].keys() == states[1].keys()
    for number, own in states[0].items():
        other = states[1][number]
        assert own.keys() == other.keys()
        for name, value in own.items():
            torch.testing.assert_close(value, other[name], rtol=1e-6, atol=1e-12)
        assert own["step"].item() == 10


@pytest.mark.parametrize(
    "strategy", ["randn", "xavier_normal", "kaiming_normal", "rand", "ones", "unitary", "orthogonal"]
)
def test_feedback_is_seeded_and_of_its_distribution(strategy):
    x, y = data(3)
    drawn = []
    for seed, scramble in ((0, 5), (0, 6), (1, 5)):
        torch.manual_seed(scramble)
        model = build("LIFLayer")
        rule = Eprop(seed=seed, feedbacks_gen_strategy=strategy, update="sequence")
        train(model, rule, x, y)
        drawn.append(rule.feedback_weights["default_key"])
    for own, other, different, p in zip(*drawn, model.input_layers["h"].parameters(), strict=True):
        assert list(own.shape) == [3, p.shape[-1] if p.dim() else 1]
        assert torch.equal(own, other)
        assert strategy == "ones" or own.numel() == 1 or not torch.equal(own, different)
        if strategy in ("randn", "rand", "ones"):
            assert own.norm() <= 1.0
        elif strategy in ("unitary", "orthogonal"):
            torch.testing.assert_close(torch.linalg.svdvals(own).float(), torch.ones(min(own.shape)))


def test_memory_does_not_grow_with_time():
    """Peak memory of a long run stays that of a short one, but for what goes in and comes out."""
    model = SequentialRNN(
        [LIFLayer(8, 256, name="h", use_recurrent_connection=True), LILayer(256, 2, name="o")],
        device="cpu",
        hh_memory_size=1,
    ).build()
    peaks = []
    for steps in (50, 3000):
        train(model, Eprop(eligibility="published"), torch.rand(1, steps, 8), torch.rand(1, steps, 2))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    trace = 3000 * 256 * 4 / 1024
    assert peaks[1] - peaks[0] < trace


@pytest.mark.parametrize(
    "arguments",
    [
        {"grad_norm_clip_value": 0.1},
        {"eligibility": "published", "feedback": "symmetric"},
        {"update": 3, "eligibility_traces_norm_clip_value": 1.0, "feedback": "adaptive"},
    ],
)
@pytest.mark.parametrize("dale", [False, True])
def test_number_of_threads_changes_nothing(set_threads, dale, arguments):
    """Networks of this size are shared between threads."""
    if dale and arguments.get("feedback") == "adaptive":
        arguments = {**arguments, "feedback": "symmetric"}
    torch.manual_seed(2)
    x, y = torch.rand(1, 3, 40), torch.rand(1, 7, 40)
    made = []
    for threads in (1, 2, 3):
        set_threads(threads)
        torch.manual_seed(1)
        hidden = SpyLIFLayer(40, 270, name="h", gamma=1.0, use_recurrent_connection=True, force_dale_law=dale)
        model = SequentialRNN([hidden, LILayer(270, 40, name="o")], device="cpu", foresight_time_steps=7).build()
        train(model, Eprop(params_lr=1e-3, **arguments), x, y)
        made.append(values(model))
    for name, value in made[0].items():
        assert torch.equal(value, made[1][name]), name
        assert torch.equal(value, made[2][name]), name


# ---- what goes wrong ---------------------------------------------------------------------------------------------


def test_the_model_is_given_back_after_an_error():
    model = build("LIFLayer")
    x, y = data(4)
    with pytest.raises(ValueError, match=r"y_batch: expected shape \[B, 4, 3\]"):
        train(model, Eprop(), x, y[:, :, :2])
    assert model.online_rule is None


@pytest.mark.parametrize("update", [1, 2, "sequence"])
def test_non_finite_values(update):
    x, y = data(4)
    y[0, 2, 1] = math.inf
    model = build("LIFLayer")
    train(model, Eprop(update=update, **SGD), x, y)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    x[0, 1] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        train(build("LIFLayer"), Eprop(update=update, raise_non_finite_errors=True, nan=math.nan, **SGD), x, y)


def test_validation_does_not_learn():
    model, (x, y) = build("LIFLayer"), data(4)
    rule = Eprop(**STILL)
    loader = DataLoader(TensorDataset(x, y), batch_size=2)
    before = values(model)
    trainer = Trainer(model, predict_method="get_prediction_trace", callbacks=[rule], verbose=False)
    trainer.train(loader, loader, n_iterations=1)
    assert trainer.state.val_loss == pytest.approx(trainer.state.train_loss)
    assert all(torch.equal(value, values(model)[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"eligibility": "exact"}, ValueError, "eligibility: expected one of"),
        ({"feedback": "none"}, ValueError, "feedback: expected one of"),
        ({"batch_reduction": "sum"}, ValueError, "batch_reduction: expected one of"),
        ({"update": 0}, ValueError, "update: expected"),
        ({"update": "never"}, ValueError, "update: expected"),
        ({"update": 3, "optim_time_steps": 2}, ValueError, "optim_time_steps: expected none"),
        ({"gamma": 1.0}, ValueError, "gamma: expected 0 to below 1"),
        ({"rate_coeff": 1.0}, ValueError, "rate_coeff: expected a rate_target"),
        ({"modulation": lambda outs, target: target}, ValueError, "modulation: expected update"),
        ({"errors": lambda outs, target: outs}, ValueError, "errors: expected update"),
        ({"backward_time_steps": 2, "update": 1}, NotImplementedError, "backward_time_steps: expected at most the 1"),
        ({"backward_time_steps": 0}, ValueError, "backward_time_steps: expected a whole number of 1 or more"),
        ({"eligibility_traces_norm_clip_value": 0}, ValueError, "eligibility_traces_norm_clip_value: expected"),
        ({"update": "sequence", "eligibility_traces_norm_clip_value": 1.0}, ValueError, "there are no traces"),
    ],
)
def test_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Eprop(**arguments)


def test_unknown_arguments_warn():
    with pytest.warns(UserWarning, match="did you mean 'gamma'"):
        Eprop(gama=0.1)


def test_unsupported_networks():
    x, y = data(4)
    with pytest.raises(TypeError, match="expected a SequentialRNN"):
        Trainer(torch.nn.Linear(5, 3), callbacks=[Eprop()], verbose=False).train([(x, y)], n_iterations=1)
    model = SequentialRNN([LIFLayer(5, 6, name="h"), LinearJtoI(6, 3, name="o")], device="cpu").build().double()
    with pytest.raises(ValueError, match='feedback: expected "random" or "symmetric" with a readout'):
        train(model, Eprop(feedback="adaptive"), x, y)
    with pytest.raises(NotImplementedError, match="strategy"):
        train(build("LIFLayer"), Eprop(feedbacks_gen_strategy="strategy"), x, y)


def test_shapes_of_own_errors_and_modulation():
    x, y = data(4)
    for own, message in (
        ({"errors": lambda outs, target: {"o": target[:, 1:]}}, r"errors: expected shape \[2, 4, 3\] for output 'o'"),
        ({"errors": lambda outs, target: {}}, "for output 'o', got none"),
        ({"modulation": lambda outs, target: target}, r"modulation: expected shape \[2, 4\], got \[2, 4, 3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            train(build("LIFLayer"), Eprop(update="sequence", **own), x, y)


def test_a_single_layer_is_a_readout():
    x, y = data(4)
    model = SequentialRNN([Linear(5, 3, name="o")], device="cpu").build().double()
    first = values(model)
    with pytest.warns(UserWarning, match="no hidden layers"):
        train(model, Eprop(**SGD), x, y)
    assert all(not torch.equal(value, values(model)[name]) for name, value in first.items())


LARGE = {
    "WilsonCowanLayer": {"hh_init": "zeros", "tau": 0.01, "learn_mu": True, "learn_r": True, "learn_tau": True},
    "SpyLIFLayer": {
        "gamma": 1.0,
        "tau_mem": torch.linspace(0.005, 0.03, 40),
        "learn_tau_mem": True,
        "learn_tau_syn": True,
        "learn_threshold": True,
    },
    "ALIFLayerLPF": {"gamma": 1.0, "learn_beta": True, "learn_tau_a": True, "learn_lpf_alpha": True},
}


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("eligibility", ["instantaneous", "published"])
@pytest.mark.parametrize("name", LARGE)
def test_trained_constants_take_the_same_steps_in_the_driver_and_in_torch(name, eligibility, optimizer):
    torch.manual_seed(2)
    x, y = torch.rand(1, 7, 5, dtype=torch.float64), torch.rand(1, 7, 3, dtype=torch.float64)
    made = []
    for kind in (optimizer, own_class(optimizer)):
        torch.manual_seed(1)
        hidden = getattr(layer_classes, name)(5, 40, use_recurrent_connection=True, **LARGE[name])
        model = SequentialRNN([hidden, LILayer(40, 3)]).build().double()
        before = values(model)
        rule = Eprop(
            eligibility=eligibility,
            params_lr=1e-2,
            output_params_lr=1e-2,
            default_optimizer_cls=kind,
            grad_norm_clip_value=0.5,
        )
        train(model, rule, x, y)
        made.append(values(model))
        assert rule.engine.startswith(
            "native driver" if kind is optimizer else "native driver, gradients through torch"
        )
    assert made[0].keys() == made[1].keys()
    trained = [key for key, p in model.named_parameters() if p.requires_grad]
    assert len(trained) >= 6
    for key, value in made[0].items():
        torch.testing.assert_close(value, made[1][key], rtol=1e-7, atol=1e-9, msg=key)
        assert (key in trained) != torch.equal(value, before[key]), key


@pytest.mark.parametrize("update", [1, 3, "sequence"])
@pytest.mark.parametrize("dale", [False, True])
def test_masked_connections_stay_away(update, dale):
    x, y = data(6)
    forward, recurrent = (torch.rand(5, 6) < 0.6).float(), (torch.rand(6, 6) < 0.6).float()
    made = []
    for kind in (torch.optim.SGD, own_class(torch.optim.SGD)):
        torch.manual_seed(1)
        hidden = LIFLayer(5, 6, gamma=1.0, forward_mask=forward, recurrent_mask=recurrent, force_dale_law=dale)
        readout = Linear(6, 3, forward_mask=(torch.arange(18).reshape(6, 3) % 2).float())
        model = SequentialRNN([hidden, readout]).build().double()
        before = values(model)
        rule = Eprop(update=update, gamma=0.2, alpha=0.1, **{**SGD, "default_optimizer_cls": kind})
        train(model, rule, x, y)
        made.append(values(model))
        assert (hidden.forward_weights[forward == 0] == 0).all()
        raw = {"_forward_weights": forward, "_recurrent_weights": recurrent}
        for key, mask in raw.items():
            value, first = made[-1][f"input_layers.input_0.{key}"], before[f"input_layers.input_0.{key}"]
            assert torch.equal(value[mask == 0], first[mask == 0])
            assert not torch.equal(value[mask == 1], first[mask == 1])
    for key, value in made[0].items():
        torch.testing.assert_close(value, made[1][key], msg=key)


@pytest.mark.parametrize("update", [1, "sequence"])
def test_regularisers_act_on_every_step(update):
    x, y = data(4)
    model = build("LIFLayer")
    weight = model["h"].get_forward_weights_parameter()
    before = weight.detach().clone()
    rule = Eprop(update=update, feedbacks_gen_strategy="ones", **{**SGD, "params_lr": 0.1, "output_params_lr": 0.1})
    rule.feedback_weights = None
    trainer = Trainer(model, callbacks=[rule], regularization=L2([weight], Lambda=5.0), verbose=False)
    trainer.train(DataLoader(TensorDataset(x, y), batch_size=2), n_iterations=1)
    plain = build("LIFLayer")
    train(
        plain,
        Eprop(update=update, feedbacks_gen_strategy="ones", **{**SGD, "params_lr": 0.1, "output_params_lr": 0.1}),
        x,
        y,
    )
    assert weight.norm() < plain["h"].get_forward_weights_parameter().norm() - 0.1
    assert not torch.equal(weight, before)
    if update == 1:
        assert rule.engine == "native driver, gradients through torch: regularisers act on its steps"
