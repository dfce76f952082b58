"""Metrics of a model on a data loader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from neurotorch.transforms.base import move_to
from neurotorch.utils import maybe_unpack_singleton_dict

Predictions = Callable[..., tuple[Any, Any]]


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode without gradients; every module has its mode of before afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def progress(batches: Iterable[Any], shown: bool, desc: str | None = None, position: int = 0) -> Iterable[Any]:
    """The same batches, with a progress bar if it is to be shown and tqdm is installed."""
    if not shown:
        return batches
    try:
        from tqdm import tqdm
    except ImportError:
        return batches
    return tqdm(batches, desc=desc, position=position)  # type: ignore[no-any-return]


Pair = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Collected:
    """Targets and predictions of batches, as they come.

    Parameters
    ----------
    pair : callable
        Makes of the prediction and target of an output what is collected: ``(prediction, target)``.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._lists: dict[str, tuple[list[Any], list[Any]]] = {}

    def add(self, outputs: Any, y: Any) -> None:
        """Take a batch: tensors, or dicts of them by output; ValueError where a target is missing."""
        outputs, y = maybe_unpack_singleton_dict(outputs), maybe_unpack_singleton_dict(_dense(y))
        for name, prediction in outputs.items() if isinstance(outputs, Mapping) else (("", outputs),):
            if isinstance(y, Mapping) and name not in y:
                raise ValueError(f"dataloader: expected a target for output {name!r}, got {sorted(y)}")
            target = torch.as_tensor(y[name] if isinstance(y, Mapping) else y)
            if prediction.dtype in (torch.bfloat16, torch.float16):
                prediction = prediction.float()  # numpy has no bfloat16
            lists = self._lists.setdefault(name, ([], []))
            for made, part in zip(lists, self.pair(prediction.cpu(), target.cpu()), strict=True):
                made.append(part.numpy())

    def arrays(self) -> tuple[Any, Any]:
        """Targets and predictions as arrays, or as dicts of them for several outputs; ValueError without any."""
        if not self._lists:
            raise ValueError("dataloader: expected batches, got none")
        y_true = {name: np.concatenate(lists[1]) for name, lists in self._lists.items()}
        y_pred = {name: np.concatenate(lists[0]) for name, lists in self._lists.items()}
        return (y_true, y_pred) if len(y_true) > 1 else (next(iter(y_true.values())), next(iter(y_pred.values())))


def predictions_of(
    model: torch.nn.Module,
    batches: Iterable[Any],
    predict: Callable[..., Any],
    pair: Pair,
    device: torch.device | None,
) -> tuple[Any, Any]:
    """Targets and predictions over all batches, as arrays, or as dicts of them for several outputs.

    Parameters
    ----------
    model : Module
        Moved to `device` if one is given.
    batches : iterable of (x, y) or (x, hidden states, y)
    predict : callable
        Gives a tensor, or a dict of tensors by output, from x on the device of the model.
    pair : callable
        See :class:`Collected`.

    Raises
    ------
    ValueError
        A batch is no such tuple, there is none, or a target is missing.
    """
    if device is not None:
        model.to(device)
    at = next((p.device for p in model.parameters()), torch.device("cpu"))
    collected = Collected(pair)
    with evaluating(model):
        for batch in batches:
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise ValueError(f"dataloader: expected batches (x, y), got a {type(batch).__name__}")
            hidden = {} if len(batch) == 2 else {"init_hidden_states": move_to(batch[1], at)}
            collected.add(predict(move_to(_dense(batch[0]), at), **hidden), batch[-1])
    return collected.arrays()


def _dense(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {name: _dense(value) for name, value in x.items()}
    return x.to_dense() if isinstance(x, torch.Tensor) and x.layout != torch.strided else x


def score(predictions: Predictions) -> Callable[[Callable[[Any, Any], Any]], Callable[..., Any]]:
    """Decorator: a function of two arrays as one of a model and a data loader too, and of dicts by output."""

    def decorate(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        def scored(
            model: torch.nn.Module | None = None,
            dataloader: Any = None,
            y_true: Any = None,
            y_pred: Any = None,
            device: torch.device | None = None,
            verbose: bool = False,
            desc: str | None = None,
            p_bar_position: int = 0,
        ) -> Any:
            assert (y_true is None) == (y_pred is None), "expected both y_true and y_pred, or neither, got one"
            if y_true is None:
                assert model is not None, "expected model and dataloader, or y_true and y_pred"
                assert dataloader is not None, "expected model and dataloader, or y_true and y_pred"
                y_true, y_pred = predictions(model, dataloader, device, verbose, desc, p_bar_position)
            if isinstance(y_true, Mapping):
                return {name: function(np.asarray(y_true[name]), np.asarray(y_pred[name])) for name in y_true}
            return function(np.asarray(y_true), np.asarray(y_pred))

        scored.__name__, scored.__qualname__ = function.__name__, function.__qualname__
        scored.__doc__, scored.__module__ = function.__doc__, function.__module__
        return scored

    return decorate


class BaseMetrics:
    """Metrics of a model by name; called with a data loader it returns ``{name: value}``.

    A call puts the model into eval mode and back into the mode it was in. Subclasses define
    :meth:`get_all_metrics_names_to_func`.

    Parameters
    ----------
    model : Module
    metrics_names : str or list of str
        Which ones, as a list or with blanks between them; ``"all"`` for each once.
    device : torch.device, optional
        Where the model is moved to first.

    Raises
    ------
    ValueError
        `metrics_names` is neither a string nor a list.
    AssertionError
        A name is unknown.
    """

    METRICS_NAMES_SEP: ClassVar[str] = " "

    compute_y_true_y_pred: ClassVar[Predictions | None] = None
    predict_methods: ClassVar[tuple[str, ...]] = ()  # whose predictions :meth:`of_predictions` scores

    def __init__(self, model: Any, metrics_names: Any = "all", device: torch.device | None = None) -> None:
        self.model = model
        self.metrics_names = self._names(metrics_names)
        self.device = device
        known = self.get_all_metrics_names()
        unknown = [name for name in self.metrics_names if name not in known]
        assert not unknown, f"metrics_names: expected some of {', '.join(known)}, got {', '.join(unknown)}"

    @classmethod
    def _names(cls, names: Any) -> list[str]:
        if isinstance(names, str):
            return cls.get_unique_metrics_names() if names.lower() == "all" else names.split()
        if isinstance(names, list):
            return [name.strip() for name in names]
        raise ValueError(f"metrics_names: expected a string or a list of strings, got {type(names).__name__}")

    @staticmethod
    def get_all_metrics_names_to_func() -> dict[str, Callable[..., Any]]:
        """Functions by name; other names of one stand behind the first, with blanks between them.

        They take the keywords ``model, dataloader, device, verbose, desc, p_bar_position``.
        """
        raise NotImplementedError("get_all_metrics_names_to_func is defined by subclasses")

    @classmethod
    def get_unwrap_all_metrics_names_to_func(cls) -> dict[str, Callable[..., Any]]:
        """Functions by every name."""
        named = cls.get_all_metrics_names_to_func()
        return {name: function for names, function in named.items() for name in names.split(cls.METRICS_NAMES_SEP)}

    @classmethod
    def get_all_metrics_names(cls) -> list[str]:
        """Every name."""
        return list(cls.get_unwrap_all_metrics_names_to_func())

    @classmethod
    def get_unique_metrics_names(cls) -> list[str]:
        """The first name of each function."""
        return [names.split(cls.METRICS_NAMES_SEP)[0] for names in cls.get_all_metrics_names_to_func()]

    @property
    def metrics_functions(self) -> dict[str, Callable[..., Any]]:
        """The functions of this object by name."""
        functions = self.get_unwrap_all_metrics_names_to_func()
        return {name: functions[name] for name in self.metrics_names}

    def _arguments(self, data_loader: Any, verbose: bool) -> dict[str, Any]:
        """What every function gets: model and data loader, or what the model, run once for all of them, gave."""
        if self.compute_y_true_y_pred is None:
            return {"model": self.model, "dataloader": data_loader}
        y_true, y_pred = self.compute_y_true_y_pred(self.model, data_loader, self.device, verbose, "predictions", 1)
        return {"y_true": y_true, "y_pred": y_pred}

    def collector(self) -> Collected:
        """What collects predictions for :meth:`of_predictions`; for classes with `predict_methods`."""
        raise NotImplementedError(f"{type(self).__name__} does not define collector")

    def of_predictions(self, collected: Collected) -> dict[str, Any]:
        """Compute the metrics of predictions that somebody has made; returns what a call returns."""
        y_true, y_pred = collected.arrays()
        functions = self.metrics_functions.items()
        return {name: function(y_true=y_true, y_pred=y_pred, device=self.device) for name, function in functions}

    def __call__(self, data_loader: Any, verbose: bool | int = False) -> dict[str, Any]:
        """Compute the metrics.

        Parameters
        ----------
        data_loader : iterable
            Batches ``(x, y)``.
        verbose : bool or int
            1 shows progress over metrics, 2 over batches too.

        Returns
        -------
        dict
            Value by name, or dict of values by output where a model has several.
        """
        verbose = int(verbose)
        assert verbose in (0, 1, 2), f"verbose: expected 0, 1 or 2, got {verbose}"
        found = {}
        with evaluating(self.model):
            arguments = self._arguments(data_loader, verbose == 2)
            shown = progress(list(self.metrics_functions.items()), verbose > 0, desc="metrics")
            for number, (name, function) in enumerate(shown):
                bar = {"verbose": verbose == 2, "desc": name, "p_bar_position": number + 1}
                found[name] = function(**arguments, device=self.device, **bar)
        return found
