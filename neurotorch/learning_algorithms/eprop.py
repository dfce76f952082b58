"""Eligibility propagation."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.learning_algorithms._eprop_errors import Errors
from neurotorch.learning_algorithms._eprop_feedback import (
    CLIPPED,
    STRATEGIES,
    Signal,
    adaptive_rows,
    generator_of,
    keep_adaptive_rows,
    signals_of,
)
from neurotorch.learning_algorithms._eprop_network import LearnedNetwork, add_gradients, learned_network, unfused_reason
from neurotorch.learning_algorithms._eprop_offline import run_offline
from neurotorch.learning_algorithms._eprop_online import run_online
from neurotorch.learning_algorithms._eprop_steps import EpropSteps, StepRun
from neurotorch.learning_algorithms._features import ACCUMULATION, AMP, PROCESSES, SCALING
from neurotorch.learning_algorithms._windows import whole_steps
from neurotorch.learning_algorithms.learning_algorithm import merged_parameters, modules_of
from neurotorch.modules._engine import Network, Result, Schedule, State
from neurotorch.modules.base import SizedModule
from neurotorch.utils import clip_tensors_norm_

_MSE = torch.nn.MSELoss()


def _choice(argument: str, value: str, among: tuple[str, ...]) -> str:
    if value not in among:
        raise ValueError(f"{argument}: expected one of {', '.join(among)}, got {value!r}")
    return value


class Eprop(EpropSteps):
    """Eligibility propagation (Bellec et al. 2020, doi:10.1038/s41467-020-17236-y): learning forward in time.

    Every synapse keeps a trace e of how it acted on its neuron, feedback weights carry the errors of the outputs to
    the neurons as learning signals ``L_t = (prediction_t - target_t) B``, and ``dW = -lr sum_t L_t e_t``. Nothing is
    propagated backward through the recurrent weights or from layer to layer. The readout follows its own gradient.

    Parameters
    ----------
    params, output_params : iterable of Parameter, optional
        What to update in the hidden layers (input layers are among them) and in the output layers; by default all
        that require gradients.
    layers, output_layers : Module or iterable of Module, optional
        Layers whose parameters are updated in place of the model's hidden and output layers.
    optimizer : torch.optim.Optimizer, optional
        Its group 0 holds the parameters of hidden layers, group 1 those of the outputs. By default
        ``default_optimizer_cls`` with two such groups.
    criterion : callable, optional
        Reported loss, and with ``eligibility="instantaneous"`` what the readout follows; None for the trainer's.
    params_lr, output_params_lr : float
        Learning rates of the two groups; they win over `default_optim_kwargs`.
    weight_decay, default_optimizer_cls, default_optim_kwargs, maximize, lr_scheduler
        See :class:`~neurotorch.learning_algorithms.BPTT`.
    gamma, alpha : float
        Decay per step of the traces of the hidden layers and of the gradient of the readout, 0 to below 1; used with
        ``eligibility="instantaneous"``.
    eligibility : {"instantaneous", "published"}
        ``"instantaneous"``: the trace is the derivative of a neuron's output with its state of the step before held
        constant, ``e_t = gamma e_{t-1} + dz_t/dW``, as in NeuroTorch. ``"published"``: eligibility vectors follow the
        states through time, and traces pass the filter of the readout.
    feedback : {"random", "symmetric", "adaptive"}
        B fixed and random; the transposed weights of the readout; or random at first, and then given the readout's
        updates and weight decay. Layers that no output reads get random ones in any case.
    update : "step", int or "sequence"
        Update after every step, every so many steps (and at the end), or once per sequence.
    batch_reduction : {"per_sample", "mean_error"}
        Sum the products of learning signal and trace over the samples, or multiply the mean error with the summed
        trace as NeuroTorch does. The same for a batch of one.
    rate_target, rate_coeff : float
        Add the gradient of ``rate_coeff / 2 sum_j (f_j - rate_target)^2``, f the mean output per step over the batch,
        to that of the hidden layers; with ``update="sequence"`` only.
    modulation : callable, optional
        With ``update="sequence"``: function of the outputs by name, ``[B, T, n]``, and the target of the batch that
        gives a factor ``[B, T]``, as the prediction error delta of a reward. Weights then change by
        ``-lr sum_t delta_t F(L e)_t``, F the filter with `modulation_decay`.
    modulation_decay : float
        Decay per step of that filter, 0 to below 1: the discount of rewards.
    errors : callable, optional
        With ``update="sequence"``: function of the same arguments that gives the errors by output, ``[B, T, n]``, in
        place of prediction minus target.
    grad_norm_clip_value : float
        Largest joint norm of the gradients of the hidden layers, and of those of the outputs.
    eligibility_traces_norm_clip_value : float
        Largest joint norm of the hidden traces, and of those of the readout; not with ``update="sequence"``.
    learning_signal_norm_clip_value : float
        Largest norm of the error of an output (of its mean over the batch with ``"mean_error"``) at a step.
    feedbacks_gen_strategy : str, optional
        Distribution of random feedback: ``"randn"``, ``"xavier_normal"`` (by default), ``"kaiming_normal"``,
        ``"rand"``, ``"ones"``, ``"unitary"`` or ``"orthogonal"``; see :attr:`FEEDBACKS_GEN_FUNCS`. With
        ``"instantaneous"`` eligibility each parameter has its own matrix, with ``"published"`` those of a neuron share
        one.
    feedback_weights_norm_clip_value : float, optional
        Largest Frobenius norm of a feedback matrix; by default 1 for randn, rand and ones, infinite otherwise.
    seed : int
        Of the private generator that draws the feedback.
    nan, posinf, neginf : float
        What replaces errors and gradients that are not finite.
    raise_non_finite_errors : bool
        Raise ValueError instead when a gradient is not finite.
    optim_time_steps : int, optional
        The same as `update` with a number.
    backward_time_steps : int
        Steps of a window, by default 1. Above 1, traces move on once per window, by the gradient of the sum of its
        outputs through the true dynamics of the layer, with the mean error of the window as learning signal; the batch
        then runs step by step.
    eval_criterion
        Kept, not used.
    **kwargs
        See :class:`~neurotorch.callbacks.BaseCallback`. Unknown ones warn.

    Attributes
    ----------
    feedback_weights : dict of list of Tensor or None
        By output layer (``"default_key"`` where there is one), a matrix ``[n_out, last dimension]`` per parameter of
        the hidden layers. None before the first training batch.
    engine : str
        How the last training batch ran, and why not in the native driver alone; empty before the first.

    Raises
    ------
    ValueError
        An argument is not among its choices or out of range.
    NotImplementedError
        `backward_time_steps` is above the steps of an update; or, while training, the variant is none that runs step by
        step where it has to.

    Notes
    -----
    The rule runs the model itself during training batches (``model.online_rule``); weights change while the sequence
    goes on unless ``update="sequence"``. Parameters that require no gradient are never touched.

    Layers that the fused operators do not have, windows of several steps, and subclasses with their own
    ``compute_errors``, ``compute_learning_signals``, ``update_grads``, ``_hidden_backward_at_t``, ``_backward_at_t``,
    ``_make_optim_step`` or ``eligibility_traces_zeros_``, run step by step in Python: with instantaneous eligibility,
    random feedback, and the mean error of a batch.
    """

    CHECKPOINT_FEEDBACK_WEIGHTS_KEY = "feedback_weights"
    OPTIMIZER_OUTPUT_PARAMS_GROUP_IDX = 1
    DEFAULT_FEEDBACKS_GEN_STRATEGY = "xavier_normal"
    # Functions of n_out, n and generator; one's own may be added under a name of lower case.
    FEEDBACKS_GEN_FUNCS: ClassVar[dict[str, Callable[..., Tensor]]] = {name: generator_of(name) for name in STRATEGIES}
    DEFAULT_FEEDBACKS_STR_NORM_CLIP_VALUE: ClassVar[dict[str, float]] = {
        name: 1.0 if name in CLIPPED else math.inf for name in STRATEGIES
    }
    UNSUPPORTED = frozenset({ACCUMULATION, AMP, PROCESSES, SCALING})

    def __init__(
        self,
        *,
        params: Iterable[Parameter] | None = None,
        output_params: Iterable[Parameter] | None = None,
        layers: torch.nn.Module | Iterable[torch.nn.Module] | None = None,
        output_layers: torch.nn.Module | Iterable[torch.nn.Module] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        criterion: Any = _MSE,
        params_lr: float = 1e-5,
        output_params_lr: float = 2e-5,
        weight_decay: float = 1e-2,
        default_optimizer_cls: Callable[..., torch.optim.Optimizer] | None = None,
        default_optim_kwargs: dict[str, Any] | None = None,
        maximize: bool = False,
        gamma: float = 0.001,
        alpha: float = 0.001,
        eligibility: str = "instantaneous",
        feedback: str = "random",
        update: str | int | None = None,
        batch_reduction: str = "per_sample",
        rate_target: float | None = None,
        rate_coeff: float = 0.0,
        modulation: Callable[[dict[str, Tensor], Any], Tensor] | None = None,
        modulation_decay: float = 0.0,
        errors: Callable[[dict[str, Tensor], Any], Mapping[str, Tensor]] | None = None,
        grad_norm_clip_value: float = math.inf,
        eligibility_traces_norm_clip_value: float = math.inf,
        learning_signal_norm_clip_value: float = math.inf,
        feedbacks_gen_strategy: str | None = None,
        feedback_weights_norm_clip_value: float | None = None,
        seed: int = 0,
        nan: float = 0.0,
        posinf: float = 1.0,
        neginf: float = -1.0,
        raise_non_finite_errors: bool = False,
        optim_time_steps: int | None = None,
        backward_time_steps: int | None = 1,
        eval_criterion: Any = None,
        lr_scheduler: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            params=params,
            optimizer=optimizer,
            criterion=criterion,
            params_lr=params_lr,
            weight_decay=weight_decay,
            default_optimizer_cls=default_optimizer_cls,
            default_optim_kwargs=default_optim_kwargs,
            maximize=maximize,
            grad_norm_clip_value=grad_norm_clip_value,
            lr_scheduler=lr_scheduler,
            **kwargs,
        )
        self.output_params_lr = output_params_lr
        self.gamma, self.alpha = _decay("gamma", gamma), _decay("alpha", alpha)
        self.eligibility = _choice("eligibility", eligibility, ("instantaneous", "published"))
        self.feedback = _choice("feedback", feedback, ("random", "symmetric", "adaptive"))
        self.batch_reduction = _choice("batch_reduction", batch_reduction, ("per_sample", "mean_error"))
        self.backward_time_steps = whole_steps("backward_time_steps", backward_time_steps) or 1
        if update is None and optim_time_steps is None:
            update = self.backward_time_steps
        self.update = _update(update, optim_time_steps)
        if self.update != "sequence" and self.backward_time_steps > int(self.update):
            raise NotImplementedError(
                f"backward_time_steps: expected at most the {self.update} steps of an update, "
                f"got {self.backward_time_steps}"
            )
        self.optim_time_steps = None if isinstance(self.update, str) else self.update
        self.rate_target, self.rate_coeff = rate_target, rate_coeff
        if rate_coeff != 0.0 and (rate_target is None or self.update != "sequence"):
            raise ValueError('rate_coeff: expected a rate_target and update="sequence" with it')
        self.modulation, self.errors = modulation, errors
        self.modulation_decay = _decay("modulation_decay", modulation_decay)
        for argument, function in (("modulation", modulation), ("errors", errors)):
            if function is not None and self.update != "sequence":
                raise ValueError(f'{argument}: expected update="sequence" with it, got {self.update}')
        for argument, value in (
            ("eligibility_traces_norm_clip_value", eligibility_traces_norm_clip_value),
            ("learning_signal_norm_clip_value", learning_signal_norm_clip_value),
        ):
            if not value > 0:
                raise ValueError(f"{argument}: expected a positive number, got {value}")
        if self.update == "sequence" and eligibility_traces_norm_clip_value < math.inf:
            raise ValueError('eligibility_traces_norm_clip_value: there are no traces with update="sequence"')
        self.eligibility_traces_norm_clip_value = eligibility_traces_norm_clip_value
        self.learning_signal_norm_clip_value = learning_signal_norm_clip_value
        self.feedbacks_gen_strategy = feedbacks_gen_strategy or self.DEFAULT_FEEDBACKS_GEN_STRATEGY
        if feedback_weights_norm_clip_value is None:
            limits = self.DEFAULT_FEEDBACKS_STR_NORM_CLIP_VALUE
            feedback_weights_norm_clip_value = limits.get(self.feedbacks_gen_strategy.lower(), math.inf)
        self.feedback_weights_norm_clip_value = feedback_weights_norm_clip_value
        self.seed = seed
        self.nan, self.posinf, self.neginf = nan, posinf, neginf
        self.raise_non_finite_errors = raise_non_finite_errors
        self.eval_criterion = criterion if eval_criterion is None else eval_criterion
        self.layers = modules_of(layers)
        self._layers_are_given = bool(self.layers)
        self.output_layers = modules_of(output_layers) or None
        self._output_layers_are_given = self.output_layers is not None
        self.output_params: list[Parameter] = list(output_params or ())
        self.feedback_weights: dict[str, list[Tensor]] | None = None
        self.engine = ""
        self.eligibility_traces: list[Tensor] = []
        self.output_eligibility_traces: list[Tensor] = []
        self._layers_buffer: dict[str, list[Tensor]] = {}
        self._layers: dict[str, torch.nn.Module] = {}
        self._errors: Errors | None = None
        self._hidden_parameters: list[Parameter] = []
        self._widths: list[int] = []
        self._targets: Any = None
        self._model: Any = None
        self._last: tuple[LearnedNetwork, list[Signal]] | None = None

    # ---- set-up --------------------------------------------------------------------------------------------------

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Find the parameters, the optimiser and the criterion.

        Raises
        ------
        TypeError
            The model cannot be run by a learning rule.
        """
        model = trainer.model
        if not hasattr(model, "online_rule"):
            raise TypeError(f"Eprop: expected a SequentialRNN, got a {type(model).__name__}")
        hidden = [*model.input_layers.values(), *model.hidden_layers]
        self._hidden_parameters = [p for layer in hidden for p in layer.parameters()]
        self._widths = [_feedback_width(layer, p) for layer in hidden for p in layer.parameters()]
        if not hidden:
            warnings.warn("Eprop: the model has no hidden layers; only the readout learns", stacklevel=2)
        self.initialize_output_layers(trainer)
        self.initialize_layers(trainer)
        self.initialize_params(trainer)
        self.initialize_output_params(trainer)
        if self.optimizer is None:
            self.optimizer = self.create_default_optimizer()
        super().start(trainer, **kwargs)

    def initialize_params(self, trainer: Any = None) -> list[Parameter]:
        """Set and return ``params``: those of the optimiser's first group, else the given ones and those of layers."""
        if self.optimizer is not None:
            self.params = list(self.optimizer.param_groups[self.OPTIMIZER_PARAMS_GROUP_IDX]["params"])
        elif not self.params or self._layers_are_given:
            self.params = merged_parameters(self.params, self.layers)
        return self.params

    def initialize_output_params(self, trainer: Any = None) -> list[Parameter]:
        """Set and return ``output_params``, in the same way from the other groups or from ``output_layers``."""
        if self.optimizer is not None:
            groups = self.optimizer.param_groups[self.OPTIMIZER_OUTPUT_PARAMS_GROUP_IDX :]
            self.output_params = [p for group in groups for p in group["params"]]
        elif not self.output_params or self._output_layers_are_given:
            self.output_params = merged_parameters(self.output_params, self.output_layers or ())
        return self.output_params

    def initialize_param_groups(self) -> list[dict[str, Any]]:
        """Set and return ``param_groups``: one for the hidden layers and one for the outputs."""
        self.param_groups = [
            {"params": [p for p in self.params if p.requires_grad], "lr": self.params_lr},
            {"params": [p for p in self.output_params if p.requires_grad], "lr": self.output_params_lr},
        ]
        return self.param_groups

    def _get_feedback_gen_func(self) -> Callable[..., Tensor]:
        """The function of the strategy."""
        functions, name = self.FEEDBACKS_GEN_FUNCS, self.feedbacks_gen_strategy.lower()
        if name not in functions:
            raise NotImplementedError(
                f"feedbacks_gen_strategy: expected one of {', '.join(functions)}, got {self.feedbacks_gen_strategy!r}"
            )
        return functions[name]

    def make_feedback_weights(self, *args: Any, **kwargs: Any) -> Tensor:
        """One feedback matrix, clipped to its largest norm; the arguments are those of ``FEEDBACKS_GEN_FUNCS``.

        Raises
        ------
        NotImplementedError
            There is no such strategy.
        """
        matrix: Tensor = self._get_feedback_gen_func()(*args, **kwargs)
        clip_tensors_norm_([matrix], self.feedback_weights_norm_clip_value)
        return matrix

    def initialize_feedback_weights(self, y_batch: Any = None) -> dict[str, list[Tensor]]:
        """Draw the feedback anew, from the private generator at its seed.

        Parameters
        ----------
        y_batch : Tensor [..., n_out] or dict of Tensor, optional
            Targets, of which the last axes are read, by output layer where there are several; by default those of the
            batch.

        Returns
        -------
        dict of list of Tensor
            ``feedback_weights``.
        """
        y = self.trainer.current_training_state.y_batch if y_batch is None else y_batch
        generator = torch.Generator().manual_seed(self.seed)
        self.feedback_weights = {
            name: [
                self.make_feedback_weights(target.shape[-1], width, generator=generator).to(p)
                for p, width in zip(self._hidden_parameters, self._widths)
            ]
            for name, target in (y if isinstance(y, Mapping) else {self.DEFAULT_Y_KEY: y}).items()
        }
        return self.feedback_weights

    def _draw_feedback(self, n_outputs: list[int], names: list[str]) -> dict[str, list[Tensor]]:
        """Random feedback per output, drawn at the first batch."""
        if self.feedback_weights is None:
            self.initialize_feedback_weights({name: torch.empty(0, n) for name, n in zip(names, n_outputs)})
        assert self.feedback_weights is not None
        return self.feedback_weights

    def _signals(self, net: LearnedNetwork, n_outputs: list[int], names: list[str]) -> list[Signal]:
        matrices = self._draw_feedback(n_outputs, names)
        positions = {id(p): k for k, p in enumerate(self._hidden_parameters)}
        shared = self.eligibility == "published" or self.feedback != "random"
        return signals_of(net, self.feedback, shared, matrices, positions)

    # ---- events --------------------------------------------------------------------------------------------------

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Take over the model for a training batch."""
        if not trainer.current_training_state.batch_is_train:
            return
        self._targets = trainer.current_training_state.y_batch
        self.trainer = trainer
        self._model = trainer.model
        self.decorate_forwards()

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Give the model back."""
        self.undecorate_forwards()

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Give the model back."""
        self.undecorate_forwards()

    def undecorate_forwards(self) -> None:
        """Give the model back, and forget the batch."""
        super().undecorate_forwards()
        self._model = self._targets = self._last = self._errors = None
        self._layers, self._layers_buffer = {}, {}

    def apply_criterion(self, pred_batch: Any, y_batch: Any, criterion: Any = None) -> Tensor:
        """Loss of predictions; one criterion for several outputs is that of each, summed.

        Targets ``[B, n]`` of predictions ``[B, T, n]`` hold at all steps.
        """
        criterion = self.criterion if criterion is None else criterion
        pred_batch = pred_batch[0] if isinstance(pred_batch, (tuple, list)) else pred_batch
        if isinstance(y_batch, Mapping):
            if criterion is not None and not isinstance(criterion, Mapping) and len(y_batch) > 1:
                criterion = dict.fromkeys(y_batch, criterion)
            if isinstance(pred_batch, Mapping):
                y_batch = {name: _repeated(y, pred_batch.get(name)) for name, y in y_batch.items()}
        else:
            y_batch = _repeated(y_batch, pred_batch)
        return super().apply_criterion(pred_batch, y_batch, criterion)

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Report the loss; with ``update="sequence"`` take the step."""
        loss = self.apply_criterion(kwargs["pred"], kwargs["y"])
        if self.update == "sequence":
            self._step()
        trainer.update_state_(batch_loss=loss.detach())

    def _step(self) -> None:
        """The one step of a sequence."""
        assert self.optimizer is not None
        if self._last is None:
            return  # it ran step by step, and the step is taken
        net, signals = self._last
        self._last = None
        if self.feedback != "adaptive":
            self.optimizer.step()
            return
        rows = [adaptive_rows(net, signals, k) for k in range(len(net.outputs))]
        with torch.no_grad(), self.adapting(net, rows):
            self.optimizer.step()
        for k, own in enumerate(rows):
            keep_adaptive_rows(own, signals, k)

    # ---- the run of a training batch -----------------------------------------------------------------------------

    def run_online(self, network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
        """Run the model and learn; arguments and results are those of :func:`neurotorch.modules._engine.run`."""
        try:
            with torch.no_grad():
                return self._run(network, x, states, schedule)
        except BaseException:
            self.undecorate_forwards()
            raise

    def _step_reason(self, network: Network, any_activation: bool) -> str | None:
        """Why the batch has to run step by step in Python; None when it has not."""
        own = self._own_hooks()
        if own:
            return f"{type(self).__name__} defines its own {', '.join(own)}"
        if self.backward_time_steps > 1:
            return f"its windows have {self.backward_time_steps} steps"
        return unfused_reason(network, any_activation)

    def _run_steps(
        self, reason: str, network: Network, x: list[Tensor], states: list[State], schedule: Schedule
    ) -> Result:
        """Every layer once per time step, through the methods that subclasses may override."""
        assert self.optimizer is not None
        self.engine = f"step by step: {reason}"
        names = list(self._model.output_layers)
        errors = Errors(self, self._targets, names, [None] * len(names), schedule)
        sizes = [y.shape[2] for y in errors.targets]
        self._draw_feedback(sizes, [self.DEFAULT_Y_KEY] if len(names) == 1 else names)
        run = StepRun(self, network, errors, schedule, x[0].shape[0])
        self._begin_steps(run)
        self.optimizer.zero_grad()
        return run.run(x, states)

    def _run(self, network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
        assert self.optimizer is not None, "start was not called"
        updated = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        open_end = self.update == "sequence" and schedule.total == schedule.given
        reason = self._step_reason(network, open_end)
        if reason is not None:
            return self._run_steps(reason, network, x, states, schedule)
        net = learned_network(network, updated)
        stored = [layer.layer.get_forward_weights_parameter() for layer in net.outputs]
        if self.feedback == "adaptive" and any(layer.call.weight is not p for layer, p in zip(net.outputs, stored)):
            raise ValueError(
                'feedback: expected "random" or "symmetric" with a readout that does not read its weights as they are '
                "stored (Dale's law, for one)"
            )
        names = [self.DEFAULT_Y_KEY] if len(net.outputs) == 1 else list(self._model.output_layers)
        sizes = [layer.neurons for layer in net.outputs]
        errors = Errors(self, self._targets, list(self._model.output_layers), sizes, schedule)
        signals = self._signals(net, sizes, names)
        self.optimizer.zero_grad()
        if self.update == "sequence":
            self.engine = "fused sequence"
            self._last = net, signals
            result = run_offline(self, net, signals, errors, x, states, schedule)
            self._finish_gradients()
            return result
        return run_online(self, net, signals, errors, x, states, schedule)

    @contextlib.contextmanager
    def adapting(self, net: LearnedNetwork, twins: Sequence[Tensor | None]) -> Iterator[None]:
        """Around a step of the optimiser: adaptive feedback takes the step of the readout, with the same decay."""
        assert self.optimizer is not None
        kept = []
        for output, twin in zip(net.outputs, twins):
            weight = output.layer.get_forward_weights_parameter()
            if twin is not None and weight is not None and any(weight is p for p in output.learned):
                kept.append((weight, weight.detach().clone(), twin[:, : output.neurons]))
        yield
        for weight, before, twin in kept:
            group = next(g for g in self.optimizer.param_groups if any(weight is p for p in g["params"]))
            decay = float(group["lr"]) * float(group.get("weight_decay", 0.0))
            twin.mul_(1.0 - decay).add_(weight.detach() - (1.0 - decay) * before)

    def _regularizes(self) -> bool:
        """Whether a regulariser of the trainer leaves its step to this rule."""
        with torch.enable_grad():
            return self.regularization_loss(self.trainer) is not None

    def _add_regularization(self) -> None:
        """Add the gradient of the regularisers of the trainer."""
        with torch.enable_grad():
            loss = self.regularization_loss(self.trainer)
            if loss is None or not loss.requires_grad:
                return
            params = [p for p in (*self.params, *self.output_params) if p.requires_grad]
            add_gradients(params, torch.autograd.grad(loss, params, allow_unused=True))

    def _finish_gradients(self) -> None:
        """Add those of regularisers, replace or refuse what is not finite, and clip."""
        self._add_regularization()
        for what, params in (("hidden", self.params), ("output", self.output_params)):
            grads = [p.grad for p in params if p.grad is not None]
            if self.raise_non_finite_errors and not all(bool(torch.isfinite(grad).all()) for grad in grads):
                raise ValueError(f"Eprop: the gradients of the {what} layers are not finite")
            for grad in grads:
                torch.nan_to_num_(grad, self.nan, self.posinf, self.neginf)
            if self.grad_norm_clip_value < math.inf and grads:
                torch.nn.utils.clip_grad_norm_(params, self.grad_norm_clip_value)

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def get_checkpoint_state(self, trainer: Any, **kwargs: Any) -> dict[str, Any] | None:
        """State of the optimiser and of its schedule, and the feedback weights."""
        state = super().get_checkpoint_state(trainer, **kwargs)
        if state is not None and self.feedback_weights is not None:
            state[self.CHECKPOINT_FEEDBACK_WEIGHTS_KEY] = self.feedback_weights
        return state

    def load_checkpoint_state(self, trainer: Any, checkpoint: Mapping[str, Any], **kwargs: Any) -> None:
        """Restore what :meth:`get_checkpoint_state` gave."""
        super().load_checkpoint_state(trainer, dict(checkpoint), **kwargs)
        state = checkpoint.get(self.name)
        if self.load_state and state and state.get(self.CHECKPOINT_FEEDBACK_WEIGHTS_KEY) is not None:
            self.feedback_weights = {
                name: [
                    matrix.to(device=p.device, dtype=p.dtype) for matrix, p in zip(matrices, self._hidden_parameters)
                ]
                for name, matrices in state[self.CHECKPOINT_FEEDBACK_WEIGHTS_KEY].items()
            }

    def extra_repr(self) -> str:
        """Class of the optimiser and the variant."""
        return (
            f"{super().extra_repr()}, eligibility={self.eligibility!r}, feedback={self.feedback!r}, "
            f"update={self.update!r}"
        )


def _repeated(y: Any, pred: Any) -> Any:
    """A target ``[B, n]`` at every step of a prediction ``[B, T, n]``."""
    pred = next(iter(pred.values())) if isinstance(pred, Mapping) and len(pred) == 1 else pred
    if isinstance(y, Tensor) and isinstance(pred, Tensor) and y.dim() == 2 and pred.dim() == 3:
        return y.unsqueeze(1).expand(-1, pred.shape[1], -1)
    return y


def _feedback_width(layer: torch.nn.Module, p: Parameter) -> int:
    """Columns of the feedback of a parameter: a neuron each, or one for all."""
    weights = getattr(layer, "_forward_weights", None)
    if p is weights and isinstance(layer, SizedModule) and layer.output_size is not None:
        return int(layer.output_size)  # also where they are stored transposed
    return p.shape[-1] if p.dim() else 1


def _decay(argument: str, value: float) -> float:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{argument}: expected 0 to below 1, got {value}")
    return float(value)


def _update(update: str | int | None, optim_time_steps: int | None) -> str | int:
    """Steps per update, or "sequence"."""
    if update is None:
        update = "step" if optim_time_steps is None else int(optim_time_steps)
    elif optim_time_steps is not None and update != optim_time_steps:
        raise ValueError(f"optim_time_steps: expected none beside update={update!r}, got {optim_time_steps}")
    if update == "step":
        return 1
    if update == "sequence":
        return update
    if isinstance(update, str) or update < 1:
        raise ValueError(f'update: expected "step", "sequence" or a number of steps above 0, got {update!r}')
    return int(update)
