"""True values mixed into what a closed loop feeds back, while it trains."""

from __future__ import annotations

from typing import Any

import torch

from neurotorch.callbacks.base_callback import BaseCallback


class TeacherForcing(BaseCallback):
    """Mixes true frames into the feedback of a closed loop during training, less and less.

    In training batches a forecasting :class:`~neurotorch.SequentialRNN` reads ``(1 - w) output + w target`` instead of
    its own output alone; validation runs freely. With w above 0 the gradients of long irregular sequences stay bounded
    (Hess, Monfared, Brenner & Durstewitz 2023, arXiv:2306.04406); 1 is classical teacher forcing (Williams & Zipser
    1989, doi:10.1162/neco.1989.1.2.270).

    Parameters
    ----------
    start, end : float
        First and last weight w of the true frames, between 0 and 1.
    n_iterations : int
        Number of iterations over which w falls linearly from `start` to `end`, where it stays.

    Raises
    ------
    ValueError
        A weight is not between 0 and 1, or `n_iterations` is not positive.
    """

    def __init__(self, start: float = 1.0, end: float = 0.0, n_iterations: int = 1000, **kwargs: Any) -> None:
        kwargs.setdefault("save_state", False)
        super().__init__(**kwargs)
        for name, weight in (("start", start), ("end", end)):
            if not 0.0 <= weight <= 1.0:
                raise ValueError(f"{name}: expected a weight between 0 and 1, got {weight}")
        if n_iterations < 1:
            raise ValueError(f"n_iterations: expected 1 or more, got {n_iterations}")
        self.start_weight = start
        self.end_weight = end
        self.n_iterations = n_iterations

    def weight(self, iteration: int) -> float:
        """Weight of the true frames in an iteration."""
        done = min(1.0, iteration / self.n_iterations)
        return self.start_weight + (self.end_weight - self.start_weight) * done

    def on_batch_begin(self, trainer: Any, **kwargs: Any) -> None:
        """Give the model the true frames ``[x, y without its last step]`` of a training batch."""
        state = trainer.current_training_state
        weight = self.weight(int(state.iteration or 0))
        if not state.batch_is_train or weight == 0.0:
            return
        x, y = state.x_batch, state.y_batch
        if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor):
            raise TypeError("TeacherForcing: expected x and y to be tensors [B, T, N], one input and one output")
        x = x.unsqueeze(1) if x.dim() == 2 else x
        trainer.model.teaching = (torch.cat([x, y[:, :-1].to(x)], dim=1), weight)

    def on_batch_end(self, trainer: Any, **kwargs: Any) -> None:
        """Take the true frames away."""
        trainer.model.teaching = None

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Take the true frames away also after an error."""
        trainer.model.teaching = None
