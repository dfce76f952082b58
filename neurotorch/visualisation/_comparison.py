"""Units beside their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurotorch.metrics.losses import PVarianceLoss
from neurotorch.utils.conversion import to_numpy
from neurotorch.visualisation._figures import DATA, MODEL, number_axes, tidy

if TYPE_CHECKING:
    from neurotorch.visualisation.series import Visualise

Array = npt.NDArray[Any]

NAMES = {"error_quad": "Squared error [-]", "best": "Best", "worst": "Worst", "most_var": "Most variable"}


class Trace(NamedTuple):
    """A panel: the name of its kind, its title, and the unit that it shows, None for the error of all."""

    kind: str
    title: str
    unit: int | None


def explained(prediction: Array, target: Array, reduction: str = "mean") -> Any:
    """Explained variance as :class:`PVarianceLoss` defines it, in float64."""
    pair = (torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64)) for a in (prediction, target))
    return PVarianceLoss(reduction=reduction)(*pair).numpy()


def target_of(viz: Visualise, target: Any) -> Array:
    """The target as ``[T, N]``, transposed as the series was; ValueError where it has another shape."""
    values = np.asarray(to_numpy(target))
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    wanted = viz.timeseries.shape
    if values.shape != wanted and viz._is_transposed and values.shape == wanted[::-1]:
        values = values.T
    if values.shape != wanted:
        raise ValueError(f"target: expected the shape of the prediction, {list(wanted)}, got {list(values.shape)}")
    return values


def pick(viz: Visualise, target: Any, traces: Sequence[str], titles: Sequence[str] | None) -> list[Trace]:
    """The unit of each trace."""
    prediction, wanted = viz._mean_given_timeseries, target_of(viz, target)
    values = explained(prediction, wanted, "feature")
    by_value = np.argsort(-values, kind="stable")
    typical = np.argsort(np.abs(values - explained(prediction, wanted)), kind="stable")
    change = np.diff(wanted, axis=0).var(axis=0) if len(wanted) > 1 else np.zeros(wanted.shape[1])
    units = {"error_quad": None, "best": by_value[0], "worst": by_value[-1], "most_var": int(np.argmax(change))}
    units |= {f"typical_{k}": unit for k, unit in enumerate(typical)}
    for trace in traces:
        if trace not in units:
            known = ", ".join([*NAMES, f"typical_0 to typical_{len(typical) - 1}"])
            raise ValueError(f"traces_to_show: expected {known}, got {trace!r}")
    if titles is None:
        titles = [NAMES.get(t) or f"Typical {t.removeprefix('typical_')}" for t in traces]
    if len(titles) != len(traces):
        raise ValueError(f"traces_to_show_names: expected {len(traces)}, one per trace, got {len(titles)}")
    found = [(trace, title, units[trace]) for trace, title in zip(traces, titles, strict=True)]
    return [Trace(kind, title, None if unit is None else int(unit)) for kind, title, unit in found]


def check_spikes(viz: Visualise, spikes: Any, n_spikes_steps: int | None) -> None:
    """ValueError where latent spikes of all units have another shape than ``[T, n_spikes_steps, N]``."""
    if spikes is None:
        return
    (steps, units), found = viz.timeseries.shape, np.shape(spikes)
    wanted = (steps, n_spikes_steps if n_spikes_steps is not None or len(found) != 3 else found[1], units)
    if found != wanted:
        count = "n_spikes_steps" if n_spikes_steps is None else n_spikes_steps
        raise ValueError(f"spikes: expected shape [{steps}, {count}, {units}], got {list(found)}")


def draw(
    viz: Visualise,
    panels: Sequence[Any],
    picked: Sequence[Trace],
    target: Any,
    spikes: Any,
    n_spikes_steps: int | None,
    title: str,
    desc: str,
    **kwargs: Any,
) -> None:
    """Fill a panel per trace."""
    wanted = target_of(viz, target)
    latent = None if spikes is None else np.asarray(to_numpy(spikes))
    for panel, trace in zip(panels, picked, strict=True):
        if trace.unit is None:
            _draw_error(viz, panel, wanted, trace.title)
            panel.set_title(f"{title} ({_score(viz, wanted)})".strip(), loc="left")
            continue
        own = None if latent is None else latent[:, :, trace.unit]
        heading = f"{trace.title}, unit {trace.unit}"
        draw_unit(viz, trace.unit, panel, wanted[:, trace.unit], own, n_spikes_steps, heading, desc, **kwargs)
    if all(trace.unit is not None for trace in picked) and title:
        panels[0].set_title(f"{title} ({_score(viz, wanted)})\n{panels[0].get_title(loc='left')}", loc="left")
    if kwargs.get("numbered", False):
        number_axes(panels)


def _score(viz: Visualise, wanted: Array) -> str:
    if not viz.is_mean:
        return f"pVar: {float(explained(viz._mean_given_timeseries, wanted)):.3f}"
    values = [float(explained(sample, wanted)) for sample in viz._given_timeseries]
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"pVar[{len(values)}]: {np.mean(values):.3f}{spread}"


def _draw_error(viz: Visualise, panel: Any, wanted: Array, label: str) -> None:
    errors = np.square(viz._mean_given_timeseries - wanted)
    low, high = np.quantile(errors, (0.1, 0.9), axis=1)
    panel.fill_between(viz.seconds(), low, high, color=MODEL, alpha=0.25, linewidth=0, label="10 to 90 % of units")
    panel.plot(viz.seconds(), errors.mean(axis=1), color=MODEL, linewidth=2.0, label="mean of units")
    panel.set_xlabel(viz.time_label)
    panel.set_ylabel(label)
    panel.set_ylim(bottom=0.0)
    panel.margins(x=0)
    panel.legend(frameon=False, loc="best")
    tidy(panel)


def draw_unit(
    viz: Visualise,
    unit: int,
    panel: Any,
    target: Any,
    spikes: Any,
    n_spikes_steps: int | None,
    title: str,
    desc: str,
    **kwargs: Any,
) -> Any:
    """See :meth:`Visualise.plot_single_timeseries_comparison`."""
    values, wanted = viz._mean_given_timeseries[:, unit], np.ravel(to_numpy(target))
    if wanted.shape != values.shape:
        raise ValueError(f"target: expected {len(values)} steps, got {len(wanted)}")
    width, time = kwargs.get("linewidth", 2.0), viz.seconds()
    if viz.is_mean:
        spread = viz._std_given_timeseries[:, unit]
        panel.fill_between(time, values - spread, values + spread, alpha=0.25, color=MODEL, linewidth=0)
    panel.plot(time, wanted, label="Real time series", color=DATA, linewidth=1.3 * width)
    score = float(explained(values, wanted))
    panel.plot(time, values, label=f"{desc} (pVar: {score:.3f})", color=MODEL, linewidth=0.8 * width)
    if spikes is not None:
        _draw_spikes(viz, panel, np.asarray(to_numpy(spikes)), n_spikes_steps, float(max(wanted.max(), values.max())))
    if "box_aspect" in kwargs:
        panel.set_box_aspect(kwargs["box_aspect"])
    panel.set_xlabel(viz.time_label)
    panel.set_ylabel(kwargs.get("ylabel", viz.activity_label))
    panel.set_title(title, loc="left")
    panel.margins(x=0)
    tidy(panel)
    place = {"bbox_to_anchor": kwargs["legend_bbox_to_anchor"]} if "legend_bbox_to_anchor" in kwargs else {}
    panel.legend(loc=kwargs.get("legend_loc", "best"), frameon=False, fontsize="small", **place)
    return panel


def _draw_spikes(viz: Visualise, panel: Any, spikes: Array, n_spikes_steps: int | None, top: float) -> None:
    if spikes.ndim != 2 or n_spikes_steps not in (None, spikes.shape[1]):
        wanted = "n_spikes_steps" if n_spikes_steps is None else n_spikes_steps
        raise ValueError(f"spikes: expected shape [T, {wanted}], got {list(spikes.shape)}")
    step, part = np.nonzero(np.abs(spikes) > 1e-8)
    times = (step + part / spikes.shape[1]) * (1.0 if viz.dt is None else viz.dt)
    opacity = np.clip(spikes[step, part], 0.0, 1.0)
    height = np.full(len(times), 1.1 * top if top > 0 else 0.9 * top)
    panel.scatter(times, height, label="Latent spikes", color="black", marker="|", linewidths=0.7, alpha=opacity)
