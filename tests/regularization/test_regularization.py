"""Regularisers: recorded values and gradients, and what they do inside training."""

import numpy as np
import pytest
import torch
from helpers import GOLDEN
from torch.nn import Parameter
from torch.utils.data import DataLoader, TensorDataset

import neurotorch
from neurotorch import BPTT, TBPTT, CheckpointManager, LILayer, SequentialRNN, SpyLIFLayer, Trainer
from neurotorch.init import dale_
from neurotorch.learning_algorithms import LearningAlgorithm
from neurotorch.regularization import L1, L2, BaseRegularization, DaleLaw, DaleLawL2, Lp, RegularizationList
from neurotorch.regularization.connectome import (
    ExcRatioTargetRegularization,
    InhRatioTargetRegularization,
    WeightsDistance,
)

with np.load(GOLDEN / "learning" / "regularization.npz", allow_pickle=False) as file:
    RECORDED = {key: torch.as_tensor(file[key]) for key in file.files if file[key].dtype.kind == "f"}
REF1, REF2 = RECORDED["ref1"], RECORDED["ref2"]
# The recording without a seed comes from a fresh generator of torch, whose seed is a constant.
FRESH = torch.Generator().initial_seed()

CASES = {
    "L1_all": ("W1 W2 v s", lambda p: L1(p, 0.3, norm="induced")),
    "L2_all": ("W1 W2 v s", lambda p: L2(p, 0.3, norm="induced")),
    "Lp3_v": ("v", lambda p: Lp(p, 2.0, 3)),
    "list_L1_L2": (
        "W1 v",
        lambda p: RegularizationList(r for r in (L1(p[:1], 0.5, norm="induced"), L2(p[1:], 0.25))),
    ),
    **{
        f"DaleLawL2_alpha{alpha}": ("W1 W2", lambda p, alpha=alpha: DaleLawL2(p, alpha, [REF1, REF2], 0.1))
        for alpha in (0.0, 0.3, 0.8, 1.0)
    },
    "DaleLaw": ("W1", lambda p: DaleLaw(p, [REF1], 2.0)),
    **{
        f"DaleLawL2_gen_seed{seed}": (
            "W1",
            lambda p, seed=seed: DaleLawL2(
                p, 0.5, inh_ratio=0.4, rho=0.7, inh_first=False, seed=FRESH if seed is None else seed
            ),
        )
        for seed in (None, 0, 7)
    },
    **{f"ExcRatio_{r}": ("W1 v", lambda p, r=r: ExcRatioTargetRegularization(p, r, 0.5)) for r in (0.2, 0.8)},
    **{f"InhRatio_{r}": ("W1 v", lambda p, r=r: InhRatioTargetRegularization(p, r, 0.5)) for r in (0.2, 0.8)},
    **{
        f"WeightsDistance_p{p}": ("W1", lambda w, p=p: WeightsDistance(w, [REF1], 1.5, p, norm="induced"))
        for p in (1, 2)
    },
}  # fmt: skip


def recorded_params(names):
    return [Parameter(RECORDED[name].clone()) for name in names.split()]


@pytest.mark.parametrize("case", CASES)
def test_matches_recorded_values_and_gradients(case):
    names, make = CASES[case]
    params = recorded_params(names)
    regularizer = make(params)
    loss = regularizer()
    torch.testing.assert_close(loss.detach(), RECORDED[f"{case}/loss"], rtol=1e-5, atol=1e-6)
    loss.backward()
    for name, p in zip(names.split(), params, strict=True):
        grad = torch.zeros_like(p) if p.grad is None else p.grad
        torch.testing.assert_close(grad, RECORDED[f"{case}/grad/{name}"], rtol=1e-5, atol=1e-6)


def test_every_recorded_case_is_compared():
    assert {key.split("/")[0] for key in RECORDED if key.endswith("/loss")} == set(CASES)


def test_recorded_ratios_and_signs():
    regularizer = ExcRatioTargetRegularization(recorded_params("W1 v"))
    np.testing.assert_allclose(regularizer.get_params_exc_ratio(), RECORDED["exc_ratios"], rtol=1e-5)
    np.testing.assert_allclose(regularizer.get_params_inh_ratio(), RECORDED["inh_ratios"], rtol=1e-5)
    for seed in (None, 0, 7):
        (signs,) = CASES[f"DaleLawL2_gen_seed{seed}"][1](recorded_params("W1")).reference_weights
        assert torch.equal(signs, torch.sign(RECORDED[f"dale_ref_seed{seed}"]))


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms_are_entrywise_unless_induced_is_asked_for(shape, p):
    w = Parameter(torch.randn(shape))
    expected = w.abs().pow(p).sum().pow(1 / p)
    torch.testing.assert_close(Lp([w], 0.5, p)(), 0.5 * expected)
    torch.testing.assert_close(WeightsDistance([w], [torch.ones(shape)], p=p)(), (w - 1).abs().pow(p).sum().pow(1 / p))
    if len(shape) == 2 and p < 3:
        induced = w.abs().sum(0).max() if p == 1 else torch.linalg.svdvals(w).max()
        torch.testing.assert_close(Lp([w], p=p, norm="induced")(), induced)
    torch.testing.assert_close(L1([w])(), w.abs().sum())
    torch.testing.assert_close(L2([w])(), w.square().sum().sqrt())


def test_frozen_parameters_and_scalars_do_not_count_in_norms():
    frozen, scalar, w = (
        Parameter(torch.ones(3), requires_grad=False),
        Parameter(torch.ones(())),
        Parameter(torch.ones(2)),
    )
    assert L1([frozen, scalar, w])().item() == 2.0
    for regularizer in (L1([frozen, scalar]), L2([]), DaleLawL2([]), RegularizationList(), WeightsDistance([], [])):
        assert isinstance(regularizer(), torch.Tensor)
        assert regularizer().item() == 0.0
        assert regularizer.loss_for_step() is None


def test_dale_loss_is_the_trace_of_the_paper():
    w, ref = Parameter(torch.randn(4, 6)), torch.randn(4, 6)
    expected = torch.trace(w.T @ (0.3 * w - 0.7 * torch.sign(ref)))
    torch.testing.assert_close(DaleLawL2([w], 0.3, [ref])(), expected)


def model_and_data():
    torch.manual_seed(1)
    model = SequentialRNN([SpyLIFLayer(4, 8, gamma=1.0), LILayer(8, 3)], device="cpu").build()
    return model, DataLoader(TensorDataset(torch.rand(4, 12, 4) * 4, torch.rand(4, 12, 3)), batch_size=2)


def weights_of(model):
    return model.get_layer()._forward_weights


def train(model, loader, rule, n_iterations=2, callbacks=(), **options):
    trainer = Trainer(
        model, predict_method="get_prediction_trace", callbacks=[rule, *callbacks], verbose=False, **options
    )
    trainer.train(loader, n_iterations=n_iterations)
    return trainer


SGD = {"default_optimizer_cls": torch.optim.SGD, "default_optim_kwargs": {"lr": 0.1}}
RULES = {"BPTT": lambda: BPTT(**SGD), "TBPTT": lambda: TBPTT(backward_time_steps=3, optim_time_steps=6, **SGD)}


@pytest.mark.parametrize("rule", RULES)
def test_acts_before_each_step_of_the_learning_rule(rule):
    """With a criterion that is always 0, each of the steps of SGD is that of the regulariser."""
    model, loader = model_and_data()
    w, other = weights_of(model), model.get_layer("output_0")._forward_weights
    before, other_before = w.detach().clone(), other.detach().clone()
    learning = RULES[rule]()
    learning.criterion = lambda pred, y: 0.0 * pred.sum()
    train(model, loader, learning, regularization=L1([w], 0.01))
    steps = 4 if rule == "BPTT" else 8
    expected = before.clone()
    for _ in range(steps):
        expected -= 0.1 * 0.01 * torch.sign(expected)
    torch.testing.assert_close(w.detach(), expected)
    assert torch.equal(other, other_before)


@pytest.mark.parametrize("rule", RULES)
def test_loss_is_added_to_that_of_the_rule(rule):
    found = []
    for way in ("regularization", "callbacks", "none"):
        model, loader = model_and_data()
        regularizer = L2([weights_of(model)], 0.5)
        learning = RULES[rule]()
        trainer = train(
            model,
            loader,
            learning,
            regularization=regularizer if way == "regularization" else None,
            callbacks=[regularizer] if way == "callbacks" else [],
        )
        found.append((weights_of(model).detach(), trainer.training_history["train_loss"][0]))
    assert torch.equal(found[0][0], found[1][0])
    assert not torch.equal(found[0][0], found[2][0])
    assert found[0][1] == found[1][1]


def test_bptt_gradient_is_the_sum():
    model, loader = model_and_data()
    x, y = next(iter(loader))
    loss = (model.get_prediction_trace(x) - y).square().mean() + 0.5 * weights_of(model).norm() + 2.0
    expected = weights_of(model).detach() - 0.1 * torch.autograd.grad(loss, weights_of(model))[0]
    regularization = RegularizationList([L2([weights_of(model)], 0.25)], Lambda=2.0)
    train(model, [(x, y)], BPTT(**SGD), n_iterations=1, regularization=regularization)
    torch.testing.assert_close(weights_of(model).detach(), expected)


def test_with_an_own_optimizer_it_steps_after_the_rule():
    model, loader = model_and_data()
    w, other = weights_of(model), model.get_layer("output_0")._forward_weights
    regularizer = L1([w, other], 0.01, torch.optim.SGD([w], lr=1.0))
    before, other_before = w.detach().clone(), other.detach().clone()
    learning = BPTT(default_optimizer_cls=torch.optim.SGD, default_optim_kwargs={"lr": 0.0})
    train(model, loader, learning, regularization=regularizer)
    for _ in range(4):
        before -= 0.01 * torch.sign(before)
    torch.testing.assert_close(w.detach(), before)
    assert torch.equal(other, other_before)
    assert w.grad is None
    assert other.grad is None


def test_members_of_a_list_with_an_own_optimizer_step_themselves():
    a, b = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    own = L1([a], 1.0, torch.optim.SGD([a], lr=0.5))
    both = RegularizationList([own, L1([b])])
    assert both().item() == 4.0
    assert both.loss_for_step().item() == 2.0
    both.on_optimization_end(None)
    assert torch.equal(a.detach(), torch.full((2,), 0.5))
    assert torch.equal(b.detach(), torch.ones(2))
    shared = RegularizationList([L1([a]), L1([b])], torch.optim.SGD([a, b], lr=0.5))
    assert shared.loss_for_step() is None
    shared.on_optimization_end(None)
    assert torch.equal(a.detach(), torch.zeros(2))
    assert torch.equal(b.detach(), torch.full((2,), 0.5))


def test_list_keeps_what_a_generator_gives():
    members = [L1([Parameter(torch.ones(2))]), L2([Parameter(torch.ones(2))])]
    made = RegularizationList(member for member in members)
    assert list(made) == members
    assert len(made) == 2
    assert made[1] is members[1]
    assert made().item() == made().item() == pytest.approx(2 + 2**0.5)
    parameters = [Parameter(torch.ones(2))]
    made = L1(p for p in parameters)
    assert made().item() == made().item() == 2.0
    assert made.params[0] is parameters[0]
    with pytest.raises(TypeError, match="regularizations: expected regularisers, got Parameter"):
        RegularizationList(parameters)


def test_rule_that_does_not_ask_warns():
    class Deaf(LearningAlgorithm):
        def on_optimization_begin(self, trainer, **kwargs):
            trainer.update_state_(batch_loss=torch.zeros(()))

    model, loader = model_and_data()
    with pytest.warns(UserWarning, match="L1 has no effect: no learning algorithm calls regularization_loss"):
        train(model, loader, Deaf(), regularization=L1([weights_of(model)]), n_iterations=1)


def test_several_of_a_kind_have_names_of_their_own(tmp_path):
    model, loader = model_and_data()
    own = [L1([p], 0.01, torch.optim.Adam([p])) for p in model.get_layer().get_weights_parameters()]
    trainer = train(model, loader, BPTT(), regularization=own)
    assert [r.name for r in own] == ["L1", "L1_1"]
    state = trainer.callbacks.get_checkpoint_state(trainer)
    assert {"L1", "L1_1"} <= set(state)
    assert L1([], priority=3, name="mine").priority == 3


@pytest.mark.parametrize("own_optimizer", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_resume_gives_the_same_bits(tmp_path, own_optimizer, rule):
    """Parameters stay the model's, generated signs are those of the first run, and so is Adam's state."""

    def weights(folder, *totals):
        for part, total in enumerate(totals):
            model, loader = model_and_data()
            w = weights_of(model)
            torch.manual_seed(part)
            optimizer = torch.optim.Adam([w], lr=0.01) if own_optimizer else None
            regularizer = DaleLawL2([w], 0.5, None, 0.1, optimizer, inh_ratio=0.5, rho=0.5, inh_first=False)
            torch.manual_seed(3)
            train(model, loader, RULES[rule](), total, [CheckpointManager(folder, metric="train_loss")],
                  regularization=[RegularizationList([regularizer])])  # fmt: skip
            assert regularizer.params[0] is weights_of(model)
        return weights_of(model).detach()

    whole, parts = weights(tmp_path / "whole", 4), weights(tmp_path / "parts", 1, 2, 4)
    assert torch.equal(whole, parts)


def test_references_follow_the_parameters():
    layer = torch.nn.Linear(3, 4)
    regularizer = DaleLawL2(layer.parameters(), reference_weights=[torch.ones(4, 3), torch.ones(4)])
    layer.double()
    assert regularizer().dtype == torch.float64
    assert not regularizer.state_dict().keys() - {"params.0", "params.1"}


def test_arguments_of_callbacks_and_of_dale_go_their_ways():
    w = Parameter(torch.zeros(6, 6))
    regularizer = DaleLaw([w], seed=4, inh_ratio=0.5, rho=0.8, priority=7, name="signs")
    assert (regularizer.priority, regularizer.name) == (7, "signs")
    expected = torch.sign(dale_(torch.empty(6, 6), seed=4, inh_ratio=0.5, rho=0.8))
    assert torch.equal(regularizer.reference_weights[0], expected)
    with pytest.raises(TypeError, match="inhibitory"):
        DaleLaw([w], inhibitory=0.5)
    assert InhRatioTargetRegularization([w], priority=3, optimizer=torch.optim.SGD([w], lr=1.0)).priority == 3


def test_progress_shows_the_ratio():
    signs = Parameter(torch.zeros(4, 1))
    shown = RegularizationList([ExcRatioTargetRegularization([signs], 0.8, 2.0)]).on_pbar_update(None)
    assert shown == pytest.approx({"exc_ratio": 0.5, "exc_ratio_loss": 1.2})


def test_training_reaches_a_target_ratio():
    torch.manual_seed(1)
    layer = SpyLIFLayer(4, 20, gamma=1.0, force_dale_law=True)
    model = SequentialRNN([layer, LILayer(20, 3)], device="cpu").build()
    signs = layer.get_sign_parameters()
    regularizer = ExcRatioTargetRegularization(signs, 0.7, 1.0, optimizer=torch.optim.Adam(signs, lr=0.05))
    train(model, model_and_data()[1], BPTT(), 60, regularization=regularizer)
    assert regularizer.get_params_exc_ratio() == pytest.approx([0.7, 0.7], abs=0.03)


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (TypeError, "params: expected Parameters, got a tensor computed from one", lambda w: L1([w * 2])),
        (TypeError, "params: expected Parameters, got Tensor", lambda w: L1(torch.ones(3))),
        (ValueError, "p: expected a positive number, got 0", lambda w: Lp([w], p=0)),
        (ValueError, "norm: expected one of entrywise, induced, got 'nuclear'", lambda w: L1([w], norm="nuclear")),
        (ValueError, "alpha: expected a number between 0 and 1, got 1.5", lambda w: DaleLawL2([w], 1.5)),
        (ValueError, "reference_weights: expected 1, one per parameter, got 0", lambda w: DaleLawL2([w], 0.5, [])),
        (ValueError, r"reference_weights: expected shape \[3, 4\], got \[2\]",
         lambda w: WeightsDistance([w], [torch.ones(2)])),
        (AssertionError, "exc_target_ratio: expected a number above 0 and below 1, got 1.0",
         lambda w: ExcRatioTargetRegularization([w], 1.0)),
        (AssertionError, "inh_target_ratio", lambda w: InhRatioTargetRegularization([w], 0.0)),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(error, message, make):
    with pytest.raises(error, match=message):
        make(Parameter(torch.ones(3, 4)))


def test_one_parameter_and_a_dict_of_them():
    w = Parameter(torch.ones(3, 4))
    assert L1(w).params[0] is w
    assert L1({"w": w}).params[0] is w
    assert L1(w, 0.5)().item() == 6.0


def test_own_regularisers_act():
    class Far(BaseRegularization):
        def forward(self):
            return sum((p - 1).square().sum() for p in self.params)

    model, loader = model_and_data()
    learning = BPTT(criterion=lambda pred, y: 0.0 * pred.sum(), **SGD)
    train(model, loader, learning, 50, regularization=Far([weights_of(model)]))
    torch.testing.assert_close(weights_of(model).detach(), torch.ones(4, 8))


def test_exports():
    for name in ("L1", "L2", "DaleLaw", "DaleLawL2", "RegularizationList"):
        assert getattr(neurotorch, name) is getattr(neurotorch.regularization, name)
        assert name in neurotorch.__all__
    assert neurotorch.regularization.connectome.DaleLawL2 is DaleLawL2
