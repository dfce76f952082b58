"""Mixed precision, accumulation of batches, compiled models, ctrl-C, and what a trainer shows."""

import io
import os
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurotorch import BPTT, RLS, TBPTT, CheckpointManager, Eprop, SequentialRNN, Trainer
from neurotorch.callbacks import BaseCallback
from neurotorch.learning_algorithms.bptt import NonFiniteError
from neurotorch.modules.layers import LILayer, Linear, SpyLIFLayer
from neurotorch.regularization import L1


def setting(seed=0, n=6):
    torch.manual_seed(seed)
    hidden = SpyLIFLayer(4, 8, gamma=5.0, name="cells")
    model = SequentialRNN([torch.nn.Linear(4, 4), hidden, LILayer(8, 3)], device="cpu").build()
    generator = torch.Generator().manual_seed(5)
    data = TensorDataset(torch.rand(n, 10, 4, generator=generator) * 4, torch.randn(n, 10, 3, generator=generator))
    return model, data


def make_trainer(model, *callbacks, **options):
    options = {"predict_method": "get_prediction_trace", "verbose": False, **options}
    return Trainer(model, callbacks=list(callbacks), **options)


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def trained(batch_size, n=6, n_iterations=3, **options):
    model, data = setting(n=n)
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    layer = model.get_layer("cells")
    regularizer = L1(layer.get_weights_parameters(), Lambda=1e-2)
    trainer = make_trainer(model, BPTT(optimizer=sgd, **options), regularization=regularizer)
    steps = []
    sgd.register_step_post_hook(lambda *_: steps.append(1))
    trainer.train(DataLoader(data, batch_size=batch_size), n_iterations=n_iterations)
    return weights(model), len(steps)


@pytest.mark.parametrize(
    ("n", "small", "k", "large", "steps"), [(6, 2, 3, 6, 3), (8, 2, 2, 4, 6), (7, 2, 2, 4, 6), (7, 3, 4, 12, 3)]
)
def test_accumulated_batches_are_one_large_batch(n, small, k, large, steps):
    clip = {"grad_norm_clip_value": 0.05}
    accumulated, n_steps = trained(small, n, accumulate_grad_batches=k, **clip)
    at_once, expected = trained(large, n, **clip)
    assert n_steps == expected == steps
    torch.testing.assert_close(accumulated, at_once, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(accumulated, trained(small, n, **clip)[0], atol=1e-4)


def test_accumulated_gradients_survive_a_regulariser_with_its_own_optimizer():
    results = []
    for size, k in ((2, 3), (6, 1)):
        model, data = setting()
        parameters = model.get_layer("cells").get_weights_parameters()
        own = torch.optim.SGD(parameters, lr=0.0)
        rule = BPTT(optimizer=torch.optim.SGD(model.parameters(), lr=0.05), accumulate_grad_batches=k)
        trainer = make_trainer(model, rule, regularization=L1(parameters, optimizer=own))
        trainer.train(DataLoader(data, batch_size=size), n_iterations=2)
        results.append(weights(model))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


def test_rules_that_step_inside_a_batch_refuse_to_accumulate():
    for rule in (TBPTT, Eprop, RLS):
        with pytest.raises(ValueError, match=f"accumulate_grad_batches: {rule.__name__} steps its optimiser in every"):
            rule(accumulate_grad_batches=2)
    with pytest.raises(ValueError, match="accumulate_grad_batches: expected 1 or more, got 0"):
        BPTT(accumulate_grad_batches=0)


class Look(BaseCallback):
    def __init__(self):
        super().__init__(priority=1)
        self.seen, self.layer = [], []

    def start(self, trainer, **kwargs):
        super().start(trainer)
        first = trainer.model.get_all_layers()[0]
        first.register_forward_hook(lambda module, x, out: self.layer.append(out.dtype))

    def on_iteration_begin(self, trainer, **kwargs):
        if trainer.state.iteration == 0 and trainer.grad_scaler is not None:
            # The scale that it starts with overflows here, and the first steps would be left out.
            trainer.grad_scaler.load_state_dict({**trainer.grad_scaler.state_dict(), "scale": 64.0})

    def on_optimization_begin(self, trainer, pred, **kwargs):
        self.seen.append(pred.dtype)


@pytest.mark.parametrize(("amp", "dtype"), [(True, torch.bfloat16), ("float16", torch.float16)])
def test_mixed_precision_reaches_plain_layers_and_learns(amp, dtype):
    losses = {}
    for chosen in (False, amp):
        _, data = setting()
        torch.manual_seed(0)
        model = SequentialRNN([torch.nn.Linear(4, 8), LILayer(8, 3)], device="cpu").build()
        look = Look()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        trainer = make_trainer(model, look, BPTT(optimizer=optimizer, grad_norm_clip_value=1.0), amp=chosen)
        loader = DataLoader(data, batch_size=3)
        losses[chosen] = trainer.train(loader, loader, n_iterations=5)
        assert set(look.layer) == {dtype if chosen else torch.float32}
        assert set(look.seen) == {torch.float32}
    assert losses[amp]["train_loss"] != losses[False]["train_loss"]
    for name in ("train_loss", "val_loss"):
        torch.testing.assert_close(
            torch.tensor(losses[amp][name]), torch.tensor(losses[False][name]), rtol=2e-2, atol=0.0
        )


def test_scale_of_gradients_is_part_of_a_resume_and_too_large_a_scale_skips_a_step(tmp_path):
    def run(folder, *totals):
        for total in totals:
            model, data = setting()
            manager = CheckpointManager(folder, metric="train_loss")
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
            trainer = make_trainer(model, manager, BPTT(optimizer=optimizer, accumulate_grad_batches=2), amp="float16")
            trainer.train(DataLoader(data, batch_size=2), n_iterations=total)
        return weights(model), trainer.grad_scaler.state_dict()

    whole, parts = run(tmp_path / "whole", 4), run(tmp_path / "parts", 1, 4)
    assert torch.equal(whole[0], parts[0])
    assert whole[1] == parts[1]
    model, data = setting()
    before = weights(model)

    class TooLarge(BaseCallback):
        def on_iteration_begin(self, trainer, **kwargs):
            trainer.grad_scaler.load_state_dict({**trainer.grad_scaler.state_dict(), "scale": 1e38})

    trainer = make_trainer(model, TooLarge(), BPTT(), amp="float16")
    trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    assert torch.equal(weights(model), before)
    scale = trainer.grad_scaler.get_scale()
    assert scale < 1e38
    trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    assert trainer.grad_scaler.get_scale() == scale


def test_what_cannot_be_mixed_is_said():
    model, data = setting()
    loader = DataLoader(data, batch_size=6)
    with pytest.raises(ValueError, match="amp: expected True, False, 'bfloat16' or 'float16', got 'int8'"):
        make_trainer(model, amp="int8")
    with pytest.raises(ValueError, match="Eprop does not work with amp"):
        make_trainer(model, Eprop(), amp=True).train(loader, n_iterations=1)
    with pytest.raises(ValueError, match="TBPTT does not work with amp with float16"):
        make_trainer(model, TBPTT(), amp="float16").train(loader, n_iterations=1)
    make_trainer(model, TBPTT(), amp="bfloat16").train(loader, n_iterations=1)


@pytest.mark.parametrize("method", ["get_prediction_trace", "__call__"])
def test_compiled_models_learn_the_same_and_checkpoints_do_not_show_it(tmp_path, method):
    torch._dynamo.reset()
    calls = []

    def backend(graph, inputs):
        calls.append(1)
        return graph.forward

    found = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        model.get_prediction_trace = model.forward
        _, data = setting()
        manager = CheckpointManager(tmp_path / str(compiled), metric="train_loss")
        given = torch.compile(model, backend=backend) if compiled else model
        trainer = make_trainer(given, manager, BPTT(params_lr=0.01), predict_method=method)
        assert trainer.model is model
        trainer.train(DataLoader(data, batch_size=3), n_iterations=2)
        found.append((weights(model), sorted(manager.load_checkpoint()["model_state_dict"])))
    assert calls
    torch.testing.assert_close(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_non_finite_loss_names_the_first_layer():
    torch.manual_seed(0)
    layers = [Linear(4, 5, name="first"), SpyLIFLayer(5, 5, name="second"), LILayer(5, 3, name="third")]
    model = SequentialRNN(layers, device="cpu").build()
    x, y = torch.rand(2, 6, 4), torch.rand(2, 6, 3)
    trainer = make_trainer(model, BPTT())
    before = weights(model)

    with pytest.raises(NonFiniteError, match="the inputs of the batch are not finite"):
        trainer.train([(x / 0.0, y)], n_iterations=1)
    with pytest.raises(NonFiniteError, match="the targets of the batch are not finite"):
        trainer.train([(x, y * float("nan"))], n_iterations=1)
    assert torch.equal(weights(model), before)
    with torch.no_grad():
        model.get_layer("second")._forward_weights[0, 0] = float("nan")
    message = (
        r"gradients .*hidden_layers\.0\._forward_weights.*; the first layer whose output is not finite is hidden_lay"
    )
    with pytest.raises(NonFiniteError, match=message + r"ers\.0$"):
        trainer.train([(x, y)], n_iterations=1)
    assert not model.get_layer("second")._forward_hooks


def test_rules_that_run_the_model_name_the_layer_too():
    model, data = setting()
    with torch.no_grad():
        model.get_layer("output_0").bias_weights[0] = float("nan")
    trainer = make_trainer(model, TBPTT(backward_time_steps=3))
    with pytest.raises(NonFiniteError, match=r"the first layer whose output is not finite is output_layers\.output_0$"):
        trainer.train(DataLoader(data, batch_size=6), n_iterations=1)
    assert model.online_rule is None


def test_layers_that_overflow_are_named_without_a_wrong_parameter():
    class Overflow(torch.nn.Module):
        def forward(self, x):
            return (x * 1e30) ** 2

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), Overflow(), torch.nn.Linear(4, 3))
    trainer = make_trainer(model, BPTT(), predict_method="__call__")
    with pytest.raises(NonFiniteError, match=r"all parameters are finite; .*; the first layer .* not finite is 2$"):
        trainer.train([(torch.rand(2, 4), torch.rand(2, 3))], n_iterations=1)


class Press(BaseCallback):
    """Presses ctrl-C in an iteration, once or more."""

    def __init__(self, iteration, times=1):
        super().__init__()
        self.iteration, self.times, self.done = iteration, times, []

    def on_batch_begin(self, trainer, **kwargs):
        if trainer.state.iteration == self.iteration:
            while self.times > 0:
                self.times -= 1
                os.kill(os.getpid(), signal.SIGINT)

    def on_iteration_end(self, trainer, **kwargs):
        self.done.append(trainer.state.iteration)


def test_ctrl_c_finishes_and_saves_the_iteration(tmp_path):
    model, data = setting()
    loader = DataLoader(data, batch_size=3)
    press = Press(2)
    manager = CheckpointManager(tmp_path, metric="none", save_freq=100)
    trainer = make_trainer(model, press, manager)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(loader, n_iterations=9)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(trainer.training_history) == 3
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["network-itr0.pt", "network-itr2.pt"]
    trainer.train(loader, n_iterations=5)
    assert press.done == [0, 1, 2, 3, 4]


PRESSED = """
import os, signal, sys, time, torch
from neurotorch import BPTT, Trainer
from neurotorch.callbacks import BaseCallback
from torch.utils.data import DataLoader, TensorDataset

class Say(BaseCallback):
    def on_iteration_end(self, trainer, **kwargs):
        print("done", trainer.state.iteration, flush=True)
        time.sleep(0.05)

data = TensorDataset(torch.rand(8, 4), torch.rand(8, 3))
trainer = Trainer(torch.nn.Linear(4, 3), callbacks=[BPTT(), Say()])
try:
    trainer.train(DataLoader(data, batch_size=2, num_workers=2), n_iterations=1000)
except KeyboardInterrupt:
    print("interrupted", len(trainer.training_history), flush=True)
"""


def test_ctrl_c_reaches_the_whole_group_and_workers_go_on():
    process = subprocess.Popen(
        [sys.executable, "-c", PRESSED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for _ in range(2):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == f"interrupted {2 + out.count('done')}"
    assert err.count("stopping at the end of this iteration") == 1
    assert "Traceback" not in err
    assert process.returncode == 0


def test_second_ctrl_c_interrupts_at_once():
    model, data = setting()
    press = Press(1, times=2)
    trainer = make_trainer(model, press)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(DataLoader(data, batch_size=3), n_iterations=9)
    assert press.done == [0]
    assert len(trainer.training_history) == 1
    trainer.train(DataLoader(data, batch_size=3), n_iterations=3)
    assert press.done == [0, 1, 2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_shows_the_time_left_and_the_chosen_metrics(monkeypatch):
    model, data = setting()
    loader = DataLoader(data, batch_size=3)
    for stream, options in ((Terminal(), {"p_bar_metrics": ["val_loss"]}), (io.StringIO(), {}), (Terminal(), {})):
        monkeypatch.setattr(sys, "stderr", stream)
        verbose = bool(options) or not isinstance(stream, Terminal)
        make_trainer(model, verbose=verbose, **options).train(loader, loader, n_iterations=4, desc="Fit")
        text = stream.getvalue()
        if not options:
            assert text == ""
        else:
            assert "Fit: 100%" in text
            assert "4/4" in text
            assert "<00:0" in text
            assert "val_loss=" in text
            assert "train_loss" not in text
