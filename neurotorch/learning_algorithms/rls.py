"""Recursive least squares, and FORCE learning of recurrent networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from neurotorch.functional.rls import RlsRule, rls_update_
from neurotorch.learning_algorithms._features import ACCUMULATION, AMP, PROCESSES, SCALING
from neurotorch.learning_algorithms._rls_native import REGRESSORS, native_reason, run_native
from neurotorch.learning_algorithms._windows import Targets
from neurotorch.learning_algorithms.bptt import BPTT, NonFiniteError
from neurotorch.learning_algorithms.tbptt import TBPTT
from neurotorch.modules._engine import Network, Result, Schedule, State
from neurotorch.modules.layers._connections import ConnectedLayer
from neurotorch.utils import ConnectivityConvention

# What a subclass may have of its own of a step; the native driver then leaves the steps to it.
_HOOKS = (
    "_backward_at_t",
    "_get_x_batch_slice_from_trainer",
    "_make_optim_step",
    "initialize_P_list",
    "inputs_mth_step",
    "optimization_step",
    "outputs_mth_step",
)


class _Constrained(NamedTuple):
    """Weights under Dale's law: their layer, and which of its signs they have."""

    layer: ConnectedLayer
    sign: str

    def signs(self) -> Tensor:
        """Activated signs, one per presynaptic neuron."""
        found: Tensor | None = getattr(self.layer, self.sign)
        assert found is not None
        return found.detach()


class RLS(TBPTT):
    """Recursive least squares: each step solves for the weights that would have given the targets so far.

    With ``P`` the inverse of the correlations of the regressor phi, ``k = P phi`` and the error e, weights change by
    ``-h k e^T`` and ``P`` by ``-h k k^T``. Applied at every step to the recurrent weights of a network that runs on its
    own outputs, this is FORCE learning.

    * ``"inputs"``: phi is the mean input, ``h = 1 / (Lambda + kappa phi^T k)``, gradient ``h k e^T``, and P becomes
      ``Lambda P - h kappa k k^T``.
    * ``"outputs"``: phi is the mean prediction and ``h = 1 / (1 + phi^T k)``, the rest as before.
    * ``"presynaptic"``: as "inputs", but phi is what the weights of the output layer saw at that step: FORCE learning
      of a readout. Ours; with `is_recurrent` and in the native driver only.
    * ``"grad"``: as ``"inputs"``, but the gradient is ``h P`` times that of the mean squared error.
    * ``"jacobian"``: psi is the derivative of the mean prediction and ``K = P psi``; gradient ``K^T e``, and P becomes
      ``Lambda P - kappa K K^T``.
    * ``"scaled_jacobian"``: the same with ``H = pinv(Lambda + kappa psi^T K)``; gradient ``(K H)^T e``, and P becomes
      ``Lambda P - kappa K H K^T``.

    Means are over samples and steps of a window. Weights under Dale's law are changed as effective weights and then
    projected: those of the wrong sign become 0 (and may leave it again); their signs are not trained.

    Parameters
    ----------
    params, layers
        See :class:`TBPTT`; signs of Dale's law and frozen parameters are left out. Under "inputs" and "grad" each has
        the shape ``[inputs, outputs]``; under "outputs" there is one, ``[outputs, outputs]``.
    criterion
        Only of the loss that is reported.
    backward_time_steps : int, optional
        Steps of a window of a recurrent network, by default 1.
    is_recurrent : bool
        Learn while the network runs, a step for every window. The inputs of a window are then the outputs of the
        window before, of an earlier batch too; those of the first are its inputs. Otherwise there is one step per
        batch.
    delta : float
        P starts as delta times the identity: ``1 / delta`` is the weight of a ridge penalty on the change of weights.
    Lambda : float
        As above, in (0, 1]. Below 1 it makes P decay, as in NeuroTorch.
    kappa : float
        As above.
    forgetting : float
        In (0, 1]; below 1 errors of the past are forgotten, ``P = (P - h k k^T) / forgetting`` with
        ``h = 1 / (forgetting + phi^T k)``, in place of `Lambda` and `kappa`. Strategies "inputs" and "outputs".
    strategy : {"inputs", "outputs", "presynaptic", "grad", "jacobian", "scaled_jacobian"}
    params_lr : float
        Factor of the change of weights, by default 1: least squares.
    default_optimizer_cls : type
        By default SGD. One that normalises gradients, as Adam does, undoes the gain.
    weight_decay : float
        By default 0.
    device
        Without effect: P is where the weights are.
    **kwargs
        See :class:`TBPTT`.

    Attributes
    ----------
    P_list : list of Tensor or None
        P of each parameter, symmetric; made at the first step.
    engine : str
        How the last batch of a recurrent run was made: by the native driver, all its steps in one call, or window by
        window in Python, and why. The driver needs a strategy without gradients, windows of one step, one
        output layer, plain SGD, and layers that a closed loop can fuse.

    Raises
    ------
    AssertionError
        `Lambda` or the strategy is none of the above.
    ValueError
        Another argument is out of range; while training, the weights do not fit the strategy.
    NonFiniteError
        While training: the error of a step is not finite, or P is not any more.

    References
    ----------
    Haykin (2002), Adaptive Filter Theory, chapter 9; Sussillo & Abbott (2009), doi:10.1016/j.neuron.2009.07.018;
    Perich et al. (2020), doi:10.1101/2020.12.18.423348.
    """

    CHECKPOINT_P_STATES_DICT_KEY = "P_list"
    UNSUPPORTED = frozenset({ACCUMULATION, AMP, PROCESSES, SCALING})
    CHECKPOINT_LAST_OUTPUTS_KEY = "last_outputs"

    def __init__(
        self,
        *,
        params: Iterable[Parameter] | None = None,
        layers: torch.nn.Module | Iterable[torch.nn.Module] | None = None,
        criterion: Any = None,
        backward_time_steps: int | None = None,
        is_recurrent: bool = False,
        delta: float = 1.0,
        Lambda: float = 1.0,
        kappa: float = 1.0,
        forgetting: float = 1.0,
        strategy: str = "inputs",
        params_lr: float = 1.0,
        weight_decay: float = 0.0,
        default_optimizer_cls: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
        auto_backward_time_steps_ratio: float = 0.0,
        device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            params=params,
            layers=layers,
            criterion=criterion,
            backward_time_steps=backward_time_steps,
            auto_backward_time_steps_ratio=auto_backward_time_steps_ratio,
            params_lr=params_lr,
            weight_decay=weight_decay,
            default_optimizer_cls=default_optimizer_cls,
            **kwargs,
        )
        self.strategy = strategy.lower()
        self.strategy_to_mth = {
            "inputs": self.inputs_mth_step,
            "outputs": self.outputs_mth_step,
            "presynaptic": self.presynaptic_mth_step,
            "grad": self.grad_mth_step,
            "jacobian": self.jacobian_mth_step,
            "scaled_jacobian": self.scaled_jacobian_mth_step,
        }
        assert self.strategy in self.strategy_to_mth, (
            f"strategy: expected one of {', '.join(self.strategy_to_mth)}, got {strategy!r}"
        )
        assert 0.0 < Lambda <= 1.0, f"Lambda: expected more than 0 and at most 1, got {Lambda}"
        if not 0.0 < forgetting <= 1.0:
            raise ValueError(f"forgetting: expected more than 0 and at most 1, got {forgetting}")
        if not delta > 0.0:
            raise ValueError(f"delta: expected a positive number, got {delta}")
        if forgetting < 1.0 and (Lambda != 1.0 or kappa != 1.0 or self.strategy not in REGRESSORS):
            raise ValueError(
                f"forgetting: goes with the strategies {', '.join(REGRESSORS)}, and without Lambda and kappa"
            )
        if self.strategy == "presynaptic" and not is_recurrent:
            raise ValueError("is_recurrent: expected True with strategy presynaptic, got False")
        self.delta, self.Lambda, self.kappa, self.forgetting = delta, Lambda, kappa, forgetting
        self.is_recurrent = is_recurrent
        self.P_list: list[Tensor] | None = None
        self._constrained: dict[int, _Constrained] = {}
        self._last_outputs: dict[str, Tensor] = {}
        self.engine = ""

    # ---- where it stands in training --------------------------------------------------------------------------

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Find the weights, the optimiser and the criterion."""
        layers = [layer for layer in trainer.model.modules() if isinstance(layer, ConnectedLayer)]
        signs = {id(sign) for layer in layers for sign in layer.get_sign_parameters()}
        given = self.params or list(trainer.model.parameters())
        self.params = [p for p in given if p.requires_grad and id(p) not in signs]
        if not self.params:
            raise ValueError("params: expected at least one parameter that requires a gradient")
        if self.is_recurrent:
            super().start(trainer, **kwargs)
        else:
            BPTT.start(self, trainer, **kwargs)
        for layer in layers:
            if layer.force_dale_law:
                for sign, weights in (
                    ("forward_sign", layer.get_forward_weights_parameter()),
                    ("recurrent_sign", layer.get_recurrent_weights_parameter()),
                ):
                    self._constrained[id(weights)] = _Constrained(layer, sign)
        if not any(id(p) in self._constrained for p in self.params):
            return
        if not self._is_plain:
            raise ValueError(
                f"optimizer: weights under Dale's law need SGD without momentum and weight decay, got {self.optimizer}"
            )
        if self.strategy not in REGRESSORS:
            raise ValueError(
                f"strategy: weights under Dale's law need one of {', '.join(REGRESSORS)}, got {self.strategy}"
            )

    @property
    def _is_plain(self) -> bool:
        """Whether the optimiser subtracts the gradient times a rate, and nothing else."""
        zero = ("momentum", "weight_decay", "dampening")
        return type(self.optimizer) is torch.optim.SGD and not any(
            group["maximize"] or any(group[name] for name in zero) for group in self.optimizer.param_groups
        )

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Take over the run of a recurrent model in a training batch."""
        self.trainer = trainer
        if self.is_recurrent:
            super().on_batch_begin(trainer, **kwargs)

    def run_online(self, network: Network, x: list[Tensor], states: list[State], schedule: Schedule) -> Result:
        """Run the network and learn meanwhile; what :func:`neurotorch.modules._engine.run` returns."""
        reason = native_reason(self, network, x)
        self.engine = "native driver" if reason is None else f"window by window: {reason}"
        if reason is not None:
            if self.strategy == "presynaptic":
                raise NotImplementedError(f"strategy: presynaptic needs the native driver, but {reason}")
            with torch.set_grad_enabled(self.strategy not in REGRESSORS):
                return super().run_online(network, x, states, schedule)
        y = self._counted(self.trainer.current_training_state.y_batch)
        self._targets = Targets(y, schedule.total, schedule.keep_outputs)
        try:
            result, not_finite = run_native(self, network, x, states, schedule, self._targets)
        finally:
            self.undecorate_forwards()
        if not_finite is not None:
            raise self._non_finite_error(not_finite)
        return result

    def _own_hooks(self) -> list[str]:
        """Methods of a step that a subclass, or the object itself, has of its own."""
        kind = type(self)
        own = [name for name in _HOOKS if name in self.__dict__ or getattr(kind, name) is not getattr(RLS, name)]
        chosen = self.strategy_to_mth.get(self.strategy)
        return own or ([] if chosen == getattr(self, f"{self.strategy}_mth_step") else ["strategy_to_mth"])

    def _non_finite_error(self, what: str) -> NonFiniteError:
        hint = "try a smaller delta or kappa" if what == "P" else "look for NaN in targets and inputs"
        return NonFiniteError(f"RLS: {what} is not finite under strategy {self.strategy!r}; {hint}")

    def _backward_at_t(self, t: int, backward_t: int, layer_name: str | None) -> None:
        """Take a step with the window that ends with step `t`, for each output layer."""
        for name in self._names if layer_name is None else [layer_name]:
            pred = self._get_pred_batch_from_buffer(name)
            y = self._get_y_batch_slice_from_trainer(t + 1 - backward_t, t + 1, name)
            before = self._last_outputs.get(name)
            x = self._get_x_batch_slice_from_trainer(0, backward_t, name) if before is None else before
            self.optimization_step(x, pred, y[name] if isinstance(y, dict) else y)
            self._last_outputs[name] = pred.detach()

    def _make_optim_step(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Nothing: the step of the window is taken."""

    def _get_x_batch_slice_from_trainer(self, t_first: int, t_last: int, layer_name: str | None = None) -> Tensor:
        x = self.trainer.current_training_state.x_batch
        if isinstance(x, dict):
            x = x[layer_name] if layer_name in x else next(iter(x.values()))
        found: Tensor = x[:, t_first:t_last] if x.dim() > 2 else x
        return found

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Report the loss; without recurrence, take the step before."""
        if self.is_recurrent:
            super().on_optimization_begin(trainer, **kwargs)
            return
        pred, y, x = kwargs["pred"], kwargs["y"], kwargs["x"]
        pred = pred[0] if isinstance(pred, (tuple, list)) else pred
        self.on_validation_batch_begin(trainer, **kwargs)
        single = [next(iter(v.values())) if isinstance(v, dict) and len(v) == 1 else v for v in (x, pred, y)]
        for name, value in zip(("x", "pred", "y"), single, strict=True):
            if not isinstance(value, Tensor):
                raise ValueError(f"{name}: RLS needs one tensor, got {type(value).__name__}")
        self.optimization_step(*single)

    def get_checkpoint_state(self, trainer: Any, **kwargs: Any) -> dict[str, Any] | None:
        """P, the last outputs, and what :class:`BPTT` keeps."""
        state = super().get_checkpoint_state(trainer, **kwargs)
        if state is None:
            return None
        own = {self.CHECKPOINT_P_STATES_DICT_KEY: self.P_list, self.CHECKPOINT_LAST_OUTPUTS_KEY: self._last_outputs}
        return {**state, **own}

    def load_checkpoint_state(self, trainer: Any, checkpoint: dict[str, Any], **kwargs: Any) -> None:
        """Restore P, the last outputs, optimiser and schedule."""
        state = checkpoint.get(self.name)
        if not (self.load_state and state):
            return
        if self.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY in state:
            super().load_checkpoint_state(trainer, checkpoint, **kwargs)
        matrices = state.get(self.CHECKPOINT_P_STATES_DICT_KEY)
        self.P_list = None if matrices is None else [p.clone() for p in matrices]
        self._last_outputs = dict(state.get(self.CHECKPOINT_LAST_OUTPUTS_KEY, {}))

    # ---- steps ------------------------------------------------------------------------------------------------

    def initialize_P_list(self, m: int | None = None) -> None:
        """P of each parameter: delta times the identity of size m, by default its number of values."""
        self.P_list = None
        self.initialize_P_list_of([p.numel() if m is None else m for p in self.params])

    def initialize_P_list_of(self, sizes: list[int]) -> None:
        """P of each parameter with a size of its own, where there is none yet."""
        if self.P_list is None:
            self.P_list = [
                self.delta * torch.eye(m, dtype=p.dtype, device=p.device)
                for m, p in zip(sizes, self.params, strict=True)
            ]

    def optimization_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """One step of the strategy.

        Parameters
        ----------
        x_batch : Tensor [..., F]
        pred_batch, y_batch : Tensor [..., N]
            Predictions, with their graph for all strategies but "inputs" and "outputs", and targets.

        Raises
        ------
        ValueError
            Shapes do not fit the strategy.
        NonFiniteError
            The error is not finite, and nothing has changed; or P is not finite any more.
        """
        self.strategy_to_mth[self.strategy](x_batch, pred_batch, y_batch.to(pred_batch))
        assert self.P_list is not None and self.optimizer is not None
        if not all(bool(torch.isfinite(torch.diagonal(p)).all()) for p in self.P_list):
            raise self._non_finite_error("P")
        regularization = self.regularization_loss(self.trainer)
        if regularization is not None and regularization.requires_grad:
            self.optimizer.zero_grad()
            with torch.enable_grad():
                regularization.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

    @staticmethod
    def _rows(t: Tensor) -> Tensor:
        return t.reshape(-1, t.shape[-1])

    def _error(self, pred: Tensor, y: Tensor) -> Tensor:
        """Mean over all rows of prediction minus target, ``[N]``."""
        error: Tensor = (self._rows(pred.detach()) - self._rows(y)).mean(dim=0)
        if not bool(torch.isfinite(error).all()):
            raise self._non_finite_error("the error")
        return error

    def _rule(self) -> RlsRule:
        """That of the strategies "inputs" and "outputs"."""
        if self.forgetting < 1.0:
            return RlsRule.forgetting(self.forgetting)
        gain, kappa = (1.0, 1.0) if self.strategy == "outputs" else (self.Lambda, self.kappa)
        return RlsRule(gain=gain, kappa=kappa, keep=self.Lambda, take=self.kappa)

    def _rate(self, parameter: Parameter) -> float:
        assert self.optimizer is not None
        groups = [g for g in self.optimizer.param_groups if any(p is parameter for p in g["params"])]
        return float(groups[0]["lr"]) if groups else 0.0

    def inputs_mth_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """Regressor: the inputs."""
        phi, error = self._rows(x_batch).mean(dim=0), self._error(pred_batch, y_batch)
        self._check_shapes(phi.numel(), error.numel())
        self._least_squares(phi, error, self._rule())

    def outputs_mth_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """Regressor: the outputs, which the weights feed back."""
        phi, error = self._rows(pred_batch.detach()).mean(dim=0), self._error(pred_batch, y_batch)
        self._check_single()
        self._check_shapes(phi.numel(), error.numel())
        self._least_squares(phi, error, self._rule())

    def presynaptic_mth_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """Regressor: what the weights saw, which only the native driver knows; NotImplementedError."""
        raise NotImplementedError("strategy: presynaptic has no single steps; it needs the native driver")

    def _check_single(self) -> None:
        if len(self.params) != 1:
            raise ValueError(f"params: strategy outputs learns exactly one matrix, got {len(self.params)}")

    def _check_shapes(self, inputs: int, outputs: int | None) -> None:
        for p in self.params:
            if p.dim() != 2 or p.shape[0] != inputs or (outputs is not None and p.shape[1] != outputs):
                wanted = [inputs, "any" if outputs is None else outputs]
                raise ValueError(
                    f"params: strategy {self.strategy} needs weights of shape {wanted}, got {list(p.shape)}"
                )
        if self.P_list is None:
            self.initialize_P_list(inputs)

    @torch.no_grad()
    def _least_squares(self, phi: Tensor, error: Tensor, rule: RlsRule) -> None:
        assert self.P_list is not None and self.optimizer is not None
        phi, error = phi.to(self.params[0]), error.to(self.params[0])
        if self._is_plain and all(p.device.type == "cpu" for p in self.params):
            for p, inverse in zip(self.params, self.P_list, strict=True):
                constrained = self._constrained.get(id(p))
                rate = self._rate(p)
                if constrained is None:
                    rls_update_(inverse, p, phi, error, rule=rule, rate=rate)
                else:
                    self._project(p, constrained.signs(), inverse, phi, error, rule, rate)
            return
        for k, p in enumerate(self.params):
            direction = self.P_list[k] @ phi
            h = 1.0 / (rule.gain + rule.kappa * (phi @ direction))
            p.grad = h * torch.outer(direction, error)
            self.P_list[k] = rule.keep * self.P_list[k] - rule.take * h * torch.outer(direction, direction)
        self.optimizer.step()

    @staticmethod
    def _project(
        p: Parameter, signs: Tensor, inverse: Tensor, phi: Tensor, error: Tensor, rule: RlsRule, rate: float
    ) -> None:
        """A step of the effective weights ``p^2 s``, whose values of the wrong sign become 0."""
        effective = p.square() * signs
        rls_update_(inverse, effective, phi, error, rule=rule, rate=rate)
        # A neuron without sign has no effective weights; its stored ones stay.
        magnitude = torch.where(signs == 0, p.square(), (effective / signs).clamp(min=0.0))
        p.copy_(magnitude.sqrt())

    def grad_mth_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """Gradient of the mean squared error times ``h P``, P from the inputs."""
        phi = self._rows(x_batch.detach()).mean(dim=0).to(self.params[0])
        self._check_shapes(phi.numel(), None)
        assert self.P_list is not None and self.optimizer is not None
        grads = self._derivatives(torch.nn.functional.mse_loss(pred_batch, y_batch))
        with torch.no_grad():
            for k, (p, grad) in enumerate(zip(self.params, grads, strict=True)):
                direction = self.P_list[k] @ phi
                h = 1.0 / (self.Lambda + self.kappa * (phi @ direction))
                p.grad = h * (self.P_list[k] @ grad)
                taken = h * self.kappa * torch.outer(direction, direction)
                self.P_list[k] = self.Lambda * self.P_list[k] - taken
        self.optimizer.step()

    def jacobian_mth_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """Jacobian of the mean prediction, without normalisation of the gain."""
        self._jacobian_step(pred_batch, y_batch, scaled=False)

    def scaled_jacobian_mth_step(self, x_batch: Tensor, pred_batch: Tensor, y_batch: Tensor) -> None:
        """Jacobian of the mean prediction; inverts a matrix as large as the number of weights."""
        self._jacobian_step(pred_batch, y_batch, scaled=True)

    def _jacobian_step(self, pred: Tensor, y: Tensor, scaled: bool) -> None:
        mean, error = self._rows(pred).mean(dim=0), self._error(pred, y)
        if self.P_list is None:
            self.initialize_P_list(mean.numel())
        assert self.P_list is not None and self.optimizer is not None
        rows = [self._derivatives(value) for value in mean]
        with torch.no_grad():
            for k, p in enumerate(self.params):
                psi = torch.stack([row[k].flatten() for row in rows])
                gain = self.P_list[k] @ psi
                h_gain = gain @ torch.linalg.pinv(self.Lambda + self.kappa * psi.T @ gain) if scaled else gain
                p.grad = (h_gain.T @ error).view_as(p)
                self.P_list[k] = self.Lambda * self.P_list[k] - self.kappa * h_gain @ gain.T
        self.optimizer.step()

    def _derivatives(self, value: Tensor) -> list[Tensor]:
        """Derivatives with respect to each parameter; zeros where none acts."""
        if not value.requires_grad:
            raise ValueError(f"pred_batch: strategy {self.strategy} needs a prediction with its graph")
        grads = torch.autograd.grad(value, self.params, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(self.params, grads, strict=True)]

    @staticmethod
    def curbd_step_method(
        inv_corr: Tensor,
        post_activation: Tensor,
        error: Tensor,
        connectivity_convention: ConnectivityConvention = ConnectivityConvention.ItoJ,
    ) -> tuple[Tensor, Tensor]:
        """What a step takes from weights and inverse correlation.

        Parameters
        ----------
        inv_corr : Tensor [N, N]
        post_activation : Tensor [..., N]
            Outputs, whose mean is the regressor.
        error : Tensor [1, N] or [N]
        connectivity_convention : ConnectivityConvention
            Of the weights.

        Returns
        -------
        delta_weights, delta_inv_corr : Tensor [N, N]

        Raises
        ------
        ValueError
            The convention is unknown.
        """
        phi = post_activation.reshape(-1, post_activation.shape[-1]).mean(dim=0)
        k = inv_corr @ phi
        c = 1.0 / (1.0 + phi @ k)
        pairs = {ConnectivityConvention.ItoJ: (k, error), ConnectivityConvention.JtoI: (error, k)}
        if connectivity_convention not in pairs:
            raise ValueError(f"connectivity_convention: expected ItoJ or JtoI, got {connectivity_convention!r}")
        rows, columns = pairs[connectivity_convention]
        return c * torch.outer(rows.reshape(-1), columns.reshape(-1)), c * torch.outer(k, k)

    def extra_repr(self) -> str:
        """Strategy and constants."""
        return (
            f"strategy={self.strategy}, delta={self.delta}, Lambda={self.Lambda}, kappa={self.kappa}, "
            f"forgetting={self.forgetting}, is_recurrent={self.is_recurrent}"
        )
