"""Checkpoints of a training run on disk."""

from __future__ import annotations

import contextlib
import enum
import glob
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from neurotorch.callbacks import _random_states
from neurotorch.callbacks._checkpoint_list import CheckpointList
from neurotorch.callbacks._plain import as_plain
from neurotorch.callbacks.base_callback import BaseCallback
from neurotorch.utils.checkpoint_files import BEST, LAST, listed_file, listed_name, read_checkpoint
from neurotorch.utils.collections import mapping_update_recursively
from neurotorch.utils.files import remove_leftovers, written_whole
from neurotorch.utils.processes import Processes


class LoadCheckpointMode(enum.Enum):
    """Which checkpoint to load."""

    BEST_ITR = 0
    LAST_ITR = 1

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def from_str(cls, mode_name: str) -> LoadCheckpointMode:
        """The mode of a name: "best", "last", "best_itr" or "last_itr". AssertionError for another."""
        name = mode_name.lower()
        names = {"best": cls.BEST_ITR, "last": cls.LAST_ITR, "best_itr": cls.BEST_ITR, "last_itr": cls.LAST_ITR}
        assert name in names, f"mode_name: expected one of {', '.join(names)}, got {mode_name!r}"
        return names[name]


class CheckpointManager(BaseCallback):
    """Saves the training run every few iterations, and loads it when training starts.

    In a folder: ``<prefix>-itr<N>.pt`` for iteration N, and ``<prefix>-checkpoints.json`` with
    ``{"iterations": {"N": file name}, "best": file name}``. Every file is written under a temporary name, synced and
    renamed, the JSON after the checkpoint that it names, so that a run that is killed leaves the last complete
    checkpoint, and resumes to the bits of one that was not. A checkpoint is a dict with ``itr, model_state_dict,
    optimizer_state_dict, metrics, training_history, random_state`` and the state of every callback under its name;
    ``torch.load(weights_only=True)`` reads it. Random states are those of the global generators of Python, numpy and
    torch, and of the generators of the data loaders and their samplers.

    The iteration is saved when all other callbacks have seen its end, whatever their priority. A run that goes on from
    an earlier checkpoint than the last one, with ``LoadCheckpointMode.BEST_ITR``, leaves the later iterations: from its
    first save on they count as neither last nor best, and stand in the JSON under ``"abandoned"``. Of several processes
    the first one writes. Checkpoints of NeuroTorch 0.0.2 are read too, without running code in them.

    Parameters
    ----------
    checkpoint_folder : str or Path
        Made when the first file is written.
    checkpoints_meta_path : str or Path, optional
        The JSON file, by default in the folder.
    meta_path_prefix : str
        Beginning of file names.
    metric : str
        Metric that says which checkpoint is best.
    minimise_metric : bool
        Whether smaller is better.
    save_freq : int
        Save every so many iterations, the first and the last; 0 or less: only the last.
    save_best_only : bool
        Save only when the metric is better than ever before.
    start_save_at : int
        First iteration that may be saved.
    verbose : bool
        Print what is loaded.
    show_best_metric_on_p_bar : bool, optional
        Show the best metric in the progress bar; by default with `save_best_only`.
    **kwargs
        See :class:`BaseCallback`; the priority is 100.
    """

    DEFAULT_PRIORITY = BaseCallback.DEFAULT_LOW_PRIORITY
    ACTS_LAST: ClassVar[bool] = True
    SAVE_EXT: ClassVar[str] = ".pt"
    SUFFIX_SEP: ClassVar[str] = "-"
    CHECKPOINTS_META_SUFFIX: ClassVar[str] = "checkpoints"
    CHECKPOINT_SAVE_PATH_KEY: ClassVar[str] = "save_path"
    CHECKPOINT_BEST_KEY: ClassVar[str] = "best"
    CHECKPOINT_ITRS_KEY: ClassVar[str] = "iterations"
    CHECKPOINT_ITR_KEY: ClassVar[str] = "itr"
    CHECKPOINT_METRICS_KEY: ClassVar[str] = "metrics"
    CHECKPOINT_STATE_DICT_KEY: ClassVar[str] = "model_state_dict"
    CHECKPOINT_OPTIMIZER_STATE_DICT_KEY: ClassVar[str] = "optimizer_state_dict"
    CHECKPOINT_TRAINING_HISTORY_KEY: ClassVar[str] = "training_history"
    CHECKPOINT_RANDOM_STATE_KEY: ClassVar[str] = "random_state"
    LOADERS: ClassVar[tuple[str, ...]] = ("train_dataloader", "val_dataloader")
    # What the JSON file looks like.
    CHECKPOINT_FILE_STRUCT: ClassVar[dict[str, Any]] = {
        CHECKPOINT_BEST_KEY: CHECKPOINT_SAVE_PATH_KEY,
        CHECKPOINT_ITRS_KEY: {0: CHECKPOINT_SAVE_PATH_KEY},
    }
    load_mode_to_suffix: ClassVar[dict[LoadCheckpointMode, str]] = {mode: mode.name for mode in LoadCheckpointMode}

    def __init__(
        self,
        checkpoint_folder: str | Path = "./checkpoints",
        *,
        checkpoints_meta_path: str | Path | None = None,
        meta_path_prefix: str = "network",
        metric: str = "val_loss",
        minimise_metric: bool = True,
        save_freq: int = 1,
        save_best_only: bool = False,
        start_save_at: int = 0,
        verbose: bool = False,
        show_best_metric_on_p_bar: bool | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("save_state", False)
        super().__init__(**kwargs)
        self._warn_unknown(self.kwargs)
        self.checkpoint_folder = str(checkpoint_folder)
        self.meta_path_prefix = meta_path_prefix
        self._meta_path = None if checkpoints_meta_path is None else str(checkpoints_meta_path)
        self.metric = metric
        self.minimise_metric = minimise_metric
        self.save_freq = save_freq
        self.save_best_only = save_best_only
        self.start_save_at = start_save_at
        self.verbose = verbose
        self.show_best_metric_on_p_bar = (
            save_best_only if show_best_metric_on_p_bar is None else show_best_metric_on_p_bar
        )
        self._forget()

    def _forget(self) -> None:
        self.best_metric = math.inf if self.minimise_metric else -math.inf
        self.curr_checkpoint: dict[str, Any] | None = None
        self._saved_itr: int | None = None
        self._continues: int | None = None
        self._is_requested = False
        self._warned = False
        self._loaders: dict[str, Any] = {}

    def get_checkpoint_filename(self, itr: int = -1) -> str:
        """Name of the file of an iteration; -1 stands for none."""
        return f"{self.meta_path_prefix}{'' if itr == -1 else f'{self.SUFFIX_SEP}itr{itr}'}{self.SAVE_EXT}"

    @property
    def checkpoints_meta_path(self) -> str:
        """The JSON file: the given one, or that of the prefix in the folder."""
        if self._meta_path is not None:
            return self._meta_path
        name = f"{self.meta_path_prefix}{self.SUFFIX_SEP}{self.CHECKPOINTS_META_SUFFIX}.json"
        return str(Path(self.checkpoint_folder) / name)

    @checkpoints_meta_path.setter
    def checkpoints_meta_path(self, value: str | Path | None) -> None:
        self._meta_path = None if value is None else str(value)

    @property
    def curr_best_metric(self) -> float:
        """The best metric so far; infinite before the first."""
        return self.best_metric

    @property
    def _list(self) -> CheckpointList:
        return CheckpointList(self.checkpoints_meta_path, self.checkpoint_folder)

    def _meta(self) -> dict[str, Any]:
        return self._list.read()

    def save_checkpoint(
        self,
        itr: int,
        itr_metrics: Mapping[str, Any],
        best: bool = False,
        state_dict: Mapping[str, Any] | None = None,
        optimizer_state_dict: Mapping[str, Any] | None = None,
        training_history: Any = None,
        **other_states: Any,
    ) -> str:
        """Write a checkpoint and the JSON file; returns the checkpoint's path.

        Raises
        ------
        AssertionError
            A further state has the name of one of the checkpoint's own entries.
        TypeError
            A state holds something else than numbers, strings, tensors, and dicts and lists of them.
        """
        content: dict[str, Any] = {
            self.CHECKPOINT_ITR_KEY: itr,
            self.CHECKPOINT_STATE_DICT_KEY: state_dict,
            self.CHECKPOINT_OPTIMIZER_STATE_DICT_KEY: as_plain(optimizer_state_dict, "optimizer_state_dict"),
            self.CHECKPOINT_METRICS_KEY: as_plain(itr_metrics, "itr_metrics"),
            self.CHECKPOINT_TRAINING_HISTORY_KEY: as_plain(training_history, "training_history"),
        }
        clash = sorted(set(content) & set(other_states))
        assert not clash, f"other_states: the names {clash} are those of the checkpoint's own entries"
        content.update({key: as_plain(state, f"state of {key}") for key, state in other_states.items()})
        name = self.get_checkpoint_filename(itr)
        path = Path(self.checkpoint_folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._continues is not None:
            self._list.leave_after(self._continues)
            self._continues = None
        with written_whole(path) as temporary:
            torch.save(content, temporary)
        self._list.add(itr, name, self.best_metric if best else None)
        return str(path)

    def save_checkpoints_meta(self, new_info: Mapping[str, Any]) -> None:
        """Merge entries into the JSON file, those of nested dicts too, and write it whole."""
        self._list.write(mapping_update_recursively(self._meta(), new_info))

    @classmethod
    def get_save_name_from_checkpoints(
        cls, checkpoints_meta: Mapping[str, Any], load_checkpoint_mode: LoadCheckpointMode = LoadCheckpointMode.BEST_ITR
    ) -> str:
        """File name that the JSON's content gives for a mode. FileNotFoundError where there is none."""
        return listed_name(checkpoints_meta, BEST if load_checkpoint_mode == LoadCheckpointMode.BEST_ITR else LAST)

    def load_checkpoint(
        self,
        checkpoints_meta_path: str | Path | None = None,
        load_checkpoint_mode: LoadCheckpointMode = LoadCheckpointMode.BEST_ITR,
        map_location: Any = "cpu",
    ) -> dict[str, Any]:
        """The content of a checkpoint; no code in it runs. FileNotFoundError where there is none.

        The file is looked for beside the JSON file, then in the manager's folder.
        """
        meta_path = self.checkpoints_meta_path if checkpoints_meta_path is None else checkpoints_meta_path
        which = BEST if load_checkpoint_mode == LoadCheckpointMode.BEST_ITR else LAST
        return read_checkpoint(listed_file(meta_path, which, self.checkpoint_folder), map_location)

    def start(self, trainer: Any, **kwargs: Any) -> None:
        """Load the weights that the trainer's mode asks for, and say at which iteration to go on.

        With ``force_overwrite`` the files that an earlier run wrote are removed instead, and iterations count from 0.

        Raises
        ------
        FileNotFoundError
            The JSON file is there, but not the checkpoint that is asked for.
        """
        super().start(trainer)
        self._forget()
        self._loaders = {key: trainer.state.objects.get(key) for key in self.LOADERS}
        if self._processes.rank == 0:
            meta_path = Path(self.checkpoints_meta_path)
            remove_leftovers(Path(self.checkpoint_folder), f"{glob.escape(self.meta_path_prefix)}-itr*{self.SAVE_EXT}")
            remove_leftovers(meta_path.parent, glob.escape(meta_path.name))
        if trainer.force_overwrite:
            if self._processes.rank == 0:
                self._list.remove()
            trainer.update_state_(iteration=0)
            return
        if not Path(self.checkpoints_meta_path).exists():
            return
        content = self.load_checkpoint(load_checkpoint_mode=trainer.load_checkpoint_mode or LoadCheckpointMode.LAST_ITR)
        best = self._listed_best()
        self.best_metric = self.best_metric if best is None else float(best)
        trainer.model.load_state_dict(content[self.CHECKPOINT_STATE_DICT_KEY], strict=True)
        self._continues = int(content[self.CHECKPOINT_ITR_KEY])
        trainer.update_state_(iteration=self._continues + 1)
        self.curr_checkpoint = content
        if self.verbose:
            print(f"{self.checkpoints_meta_path}: going on after iteration {self._continues}")

    def _listed_best(self) -> float | None:
        """The metric of the best checkpoint so far; lists of NeuroTorch do not say it, but the checkpoint does."""
        meta = self._meta()
        if CheckpointList.BEST_METRIC not in meta and CheckpointList.BEST in meta:
            with contextlib.suppress(FileNotFoundError):
                return (self.load_checkpoint().get(self.CHECKPOINT_METRICS_KEY) or {}).get(self.metric)
        return meta.get(CheckpointList.BEST_METRIC)

    @property
    def _processes(self) -> Processes:
        return getattr(self.trainer, "processes", None) or Processes()

    def restore_random_state(self) -> None:
        """Put the random generators where they were when the loaded checkpoint was written."""
        state = (self.curr_checkpoint or {}).get(self.CHECKPOINT_RANDOM_STATE_KEY)
        if state is not None:
            _random_states.restore(state, self._loaders, self._processes)

    def _is_best(self, metrics: Mapping[str, Any]) -> bool:
        value = metrics.get(self.metric)
        if value is None and self.save_best_only and not self._warned:
            self._warned = True
            warnings.warn(
                f"metric: expected one of {sorted(metrics)}, got {self.metric!r}; with save_best_only nothing is saved",
                stacklevel=2,
            )
        if value is None or not math.isfinite(value):
            return False
        better = bool(value < self.best_metric if self.minimise_metric else value > self.best_metric)
        if better:
            self.best_metric = float(value)
        return better

    def on_iteration_end(self, trainer: Any, **kwargs: Any) -> None:
        """Save when the iteration is due."""
        state = trainer.current_training_state
        requested, self._is_requested = self._is_requested, False
        may_save = state.iteration >= self.start_save_at
        best = may_save and self._is_best(state.itr_metrics)
        last = state.n_iterations is not None and state.iteration >= state.n_iterations - 1
        due = self.save_freq > 0 and state.iteration % self.save_freq == 0
        if requested or (may_save and (best if self.save_best_only else (best or due or last))):
            self._save(trainer, best)

    def request(self) -> None:
        """Have the iteration saved at its end, when all other callbacks have seen it."""
        self._is_requested = True

    def save_on(self, trainer: Any, best: bool | None = None) -> str:
        """Save the trainer's state now, and once more at the end of the iteration; returns the checkpoint's path.

        Of several processes all must call this.
        """
        self.request()
        return self._save(trainer, self._is_best(trainer.current_training_state.itr_metrics) if best is None else best)

    def _save(self, trainer: Any, best: bool) -> str:
        state = trainer.current_training_state
        history = trainer.training_history
        optimizer = getattr(trainer, "optimizer", None)
        self._saved_itr = int(state.iteration)
        random_state = _random_states.collect(self._loaders, self._processes)
        if self._processes.rank > 0:
            return str(Path(self.checkpoint_folder) / self.get_checkpoint_filename(self._saved_itr))
        return self.save_checkpoint(
            self._saved_itr,
            state.itr_metrics,
            best,
            state_dict=trainer.model.state_dict(),
            optimizer_state_dict=None if optimizer is None else optimizer.state_dict(),
            training_history=None if history is None else history.get_state(),
            **{self.CHECKPOINT_RANDOM_STATE_KEY: random_state},
            **trainer.callbacks.get_checkpoint_state(trainer),
        )

    def close(self, trainer: Any, **kwargs: Any) -> None:
        """Save the last iteration when a callback stopped training early and it is not saved yet."""
        state = trainer.current_training_state
        if state.stop_training_flag and not self.save_best_only and self._saved_itr != state.iteration:
            self._save(trainer, self._is_best(state.itr_metrics))

    def on_pbar_update(self, trainer: Any, **kwargs: Any) -> dict[str, Any]:
        """The best metric so far."""
        return {f"best_{self.metric}": self.best_metric} if self.show_best_metric_on_p_bar else {}

    def extra_repr(self) -> str:
        """Folder and metric."""
        return f"folder={self.checkpoint_folder}, metric={self.metric}"
