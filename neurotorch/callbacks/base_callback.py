"""The protocol of callbacks, and lists of them."""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from torch import Tensor

from neurotorch.utils.arguments import warn_unknown


def _count(kind: type[BaseCallback], change: int) -> None:
    kind.instance_counter = kind.__dict__.get("instance_counter", 0) + change


class BaseCallback:
    """Something that a trainer calls at fixed points; every method does nothing unless a subclass says otherwise.

    The order of events is that of :meth:`neurotorch.trainers.Trainer.train`.

    Parameters
    ----------
    priority : int, optional
        Callbacks of lower priority run first; 10 by default. Equal ones keep their order.
    name : str, optional
        Key of the callback's state in checkpoints. By default the name of the class, with a number behind it when a
        list holds several of the class.
    save_state : bool
        Whether the state goes into checkpoints.
    load_state : bool, optional
        Whether it is restored from them; by default as `save_state`.
    **kwargs
        Kept in ``self.kwargs``.

    Attributes
    ----------
    instance_counter : int
        Of a class: how many objects of it (not of subclasses) were made and still live.
    instance_id : int
        What it was when the object was made.
    """

    DEFAULT_PRIORITY: ClassVar[int] = 10
    DEFAULT_LOW_PRIORITY: ClassVar[int] = 100
    DEFAULT_MEDIUM_PRIORITY: ClassVar[int] = 50
    DEFAULT_HIGH_PRIORITY: ClassVar[int] = 0
    UNPICKEABLE_ATTRIBUTES: ClassVar[list[str]] = ["trainer"]
    ACTS_LAST: ClassVar[bool] = False  # at the end of an iteration, whatever the priority
    instance_counter: ClassVar[int] = 0

    def __init__(
        self,
        priority: int | None = None,
        name: str | None = None,
        save_state: bool = True,
        load_state: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.priority = self.DEFAULT_PRIORITY if priority is None else priority
        self.name = type(self).__name__ if name is None else name
        self.name_is_set = name is not None
        self.save_state = save_state
        self.load_state = save_state if load_state is None else load_state
        self.kwargs = kwargs
        self.trainer: Any = None
        self.instance_id: int = type(self).__dict__.get("instance_counter", 0)
        _count(type(self), 1)
        weakref.finalize(self, _count, type(self), -1).atexit = False

    def _warn_unknown(self, given: Mapping[str, Any]) -> None:
        """Warn of keywords that no constructor of this class names; for classes that forward theirs to the base."""
        constructors = [vars(kind)["__init__"] for kind in type(self).__mro__ if "__init__" in vars(kind)]
        known = {name for constructor in constructors[:-1] for name in inspect.signature(constructor).parameters}
        warn_unknown(type(self).__name__, given, known - {"self", "kwargs"}, stacklevel=4)

    def get_state(self) -> dict[str, Any] | None:
        """What a checkpoint keeps of this callback: plain values and tensors. None for nothing.

        The default is None. Subclasses with a state define this and :meth:`set_state`.
        """
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over the values of :meth:`get_state`; the default sets attributes of these names."""
        for name, value in state.items():
            setattr(self, name, value)

    def get_checkpoint_state(self, trainer: Any, **kwargs: Any) -> Any:
        """State for a checkpoint, or None."""
        return self.get_state() if self.save_state else None

    def load_checkpoint_state(self, trainer: Any, checkpoint: dict[str, Any], **kwargs: Any) -> None:
        """Restore the state that a checkpoint holds under the callback's name."""
        if self.load_state and checkpoint.get(self.name) is not None:
            self.set_state(checkpoint[self.name])

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Training starts; the trainer becomes known."""
        self.trainer = trainer

    def on_iteration_begin(self, trainer: Any, **kwargs: Any) -> None:
        """An iteration begins."""

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """An iteration is over, and its metrics are known."""

    def on_train_begin(self, trainer: Any, **kwargs: Any) -> None:
        """The training part of an iteration begins."""

    def on_train_end(self, trainer: Any, **kwargs: Any) -> None:
        """The training part of an iteration is over."""

    def on_epoch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """A pass over a data loader begins."""

    def on_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        """A pass over a data loader is over."""

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """A batch is loaded, and the model not yet run."""

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """A batch is done with."""

    def on_optimization_begin(self, trainer: Any, **kwargs: Any) -> None:
        """The model has run on a training batch; keywords ``x, hh_batch, y, pred``."""

    def on_optimization_end(self, trainer: Any, **kwargs: Any) -> None:
        """The learning algorithm has done its work on a training batch."""

    def on_validation_begin(self, trainer: Any, **kwargs: Any) -> None:
        """The validation part of an iteration begins."""

    def on_validation_end(self, trainer: Any, **kwargs: Any) -> None:
        """The validation part of an iteration is over."""

    def on_validation_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """The model has run on a validation batch; keywords ``x, hh_batch, y, pred``."""

    def on_validation_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """A validation batch is scored."""

    def on_trajectory_end(self, trainer: Any, trajectory: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """A trajectory of an environment is over; returns values to add to each of its steps."""
        return [{} for _ in trajectory]

    def is_over(self, trainer: Any) -> bool:
        """Whether the last iteration, whose metrics and states are known, was the last one to run.

        A resumed run asks this of the checkpoint that it loads, and trains no further where a callback had ended
        training with it.
        """
        return False

    def loss_for_step(self) -> Tensor | None:
        """Loss to add to that of the learning algorithm before each step of its optimiser; None for nothing."""
        return None

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """Values to show in the progress bar."""
        return {}

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Training is over, also after an error."""

    def extra_repr(self) -> str:
        """What ``repr`` shows besides priority and flags."""
        return ""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **dict.fromkeys(self.UNPICKEABLE_ATTRIBUTES)}

    def __repr__(self) -> str:
        extra = self.extra_repr()
        return (
            f"{self.name}(priority={self.priority}, save_state={self.save_state}, load_state={self.load_state}"
            f"{', ' + extra if extra else ''})"
        )


class CallbacksList:
    """Callbacks that are called together, in the order of the list; each stands in it once.

    Parameters
    ----------
    callbacks : iterable of BaseCallback, optional

    Raises
    ------
    AssertionError
        Something else is in the iterable.
    """

    def __init__(self, callbacks: Iterable[BaseCallback] | None = None) -> None:
        self.callbacks: list[BaseCallback] = []
        for callback in callbacks or ():
            self.append(callback)

    def __getitem__(self, index: int) -> BaseCallback:
        return self.callbacks[index]

    def __iter__(self) -> Iterator[BaseCallback]:
        return iter(self.callbacks)

    def __len__(self) -> int:
        return len(self.callbacks)

    def append(self, callback: BaseCallback) -> None:
        """Add a callback, unless it is there; without a name of its own it gets one that the list does not hold."""
        assert isinstance(callback, BaseCallback), f"callbacks: expected BaseCallback, got {type(callback).__name__}"
        if any(c is callback for c in self.callbacks):
            return
        others = {c.name for c in self.callbacks}
        if not callback.name_is_set:
            base, number = type(callback).__name__, 0
            callback.name = base
            while callback.name in others:
                number += 1
                callback.name = f"{base}_{number}"
        elif callback.name in others:
            raise ValueError(f"callbacks: two are named {callback.name!r}; names are keys in checkpoints")
        self.callbacks.append(callback)

    def remove(self, callback: BaseCallback) -> None:
        """Take a callback out."""
        self.callbacks.remove(callback)

    def sort_callbacks_(self, reverse: bool = False) -> CallbacksList:
        """Sort by priority; equal ones keep their order."""
        self.callbacks.sort(key=lambda callback: callback.priority, reverse=reverse)
        return self

    def of_type(self, kind: type[BaseCallback]) -> CallbacksList:
        """Those of a class."""
        found = CallbacksList()
        found.callbacks = [callback for callback in self.callbacks if isinstance(callback, kind)]
        return found

    def _call(self, event: str, trainer: Any, **kwargs: Any) -> None:
        callbacks = tuple(self.callbacks)
        if event == "on_iteration_end":
            callbacks = tuple(sorted(callbacks, key=lambda callback: callback.ACTS_LAST))
        for callback in callbacks:
            getattr(callback, event)(trainer, **kwargs)

    def get_checkpoint_state(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """States by name, without those that are None."""
        states = {callback.name: callback.get_checkpoint_state(trainer, **kwargs) for callback in self.callbacks}
        return {name: state for name, state in states.items() if state is not None}

    def load_checkpoint_state(self, trainer: Any, checkpoint: Mapping[str, Any], **kwargs: Any) -> None:
        """Restore every callback; warns of one whose state is missing."""
        for callback in self.callbacks:
            expected = callback.load_state and callback.get_checkpoint_state(trainer) is not None
            if expected and callback.name not in checkpoint:
                warnings.warn(f"the checkpoint holds no state of callback {callback.name!r}", stacklevel=2)
            callback.load_checkpoint_state(trainer, dict(checkpoint), **kwargs)

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """What all want to show; a value that is no dict stands under the callback's name."""
        merged: dict[str, Any] = {}
        for callback in self.callbacks:
            shown = callback.on_pbar_update(trainer, **kwargs)
            merged.update(shown if isinstance(shown, dict) else {} if shown is None else {callback.name: shown})
        return merged

    def on_trajectory_end(self, trainer: Any, trajectory: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Values for every step from all callbacks; later callbacks win."""
        merged: list[dict[str, Any]] = [{} for _ in trajectory]
        for callback in self.callbacks:
            values = callback.on_trajectory_end(trainer, trajectory, **kwargs)
            assert len(values) == len(merged), f"{callback.name}: expected {len(merged)} steps, got {len(values)}"
            for step, value in zip(merged, values, strict=True):
                step.update(value)
        return merged

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Close all, the others too when one fails."""
        first: BaseException | None = None
        for callback in tuple(self.callbacks):
            try:
                callback.close(trainer, **kwargs)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def __repr__(self) -> str:
        return f"CallbacksList[{', '.join(map(repr, self.callbacks))}]"


def _forward(event: str) -> Any:
    def call(self: CallbacksList, trainer: Any, **kwargs: Any) -> None:
        self._call(event, trainer, **kwargs)

    call.__name__ = event
    call.__doc__ = f"Call ``{event}`` of all callbacks."
    return call


for _event in (
    "start",
    *(
        f"on_{part}_{end}"
        for part in ("iteration", "train", "epoch", "batch", "optimization")
        for end in ("begin", "end")
    ),
    *(f"on_{part}_{end}" for part in ("validation", "validation_batch") for end in ("begin", "end")),
):
    setattr(CallbacksList, _event, _forward(_event))
