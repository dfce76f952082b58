"""Writes docs/benchmarks.md and its figures from the rows of ``compare.py``, and the tables of the READMEs.

    python benchmarks/report.py docs/benchmarks/*.json

Rows of later files take the place of earlier ones with the same case, part and number of threads. Rows beside plain
loops (``--json-rows`` of ``test_workloads.py``) become the tables of ``benchmarks/README.md`` and ``README.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from environments import NAMES, ROOT
from figures import draw_memory, draw_times
from interleave import Row
from interleave import table as loops_table

from neurotorch.utils.files import written_whole

ORDER = list(NAMES)
INTRO = """# Benchmarks

Ours beside NeuroTorch 0.0.2, Norse, snnTorch, SpikingJelly, sinabs, the loop of the SpyTorch tutorials, a tuned plain
PyTorch loop and that loop under `torch.compile`. This page is written from measured rows by `benchmarks/report.py`;
`make bench` measures them anew.

Every round runs each candidate once, in turn, each library in a process of its own environment and with its own clock;
at two threads once more before it is timed, which wakes its threads.
Times are medians over rounds; a cell of a library has its time in ms and, behind it, how many times that of ours it is
(median of the ratios within rounds, lower and upper quartile in brackets). Everything ran on the processor. The CUDA
kernels of this library have never run on a GPU, and those of the others were not asked to.
"""
WORKLOADS = """## Workloads

a: feed-forward LIF on a given current, 512 neurons, batch 32.  b: 700 inputs at 5 % to recurrent LIF (N neurons, batch
B, 100 steps unless said; percentages are rates of the neurons).  b triangle: with a surrogate derivative that is zero
but within a tenth of the threshold.  c: the MNIST training step, 784-100-10, batch 256, 100 steps.  d: a closed loop of
522 SpyLIF-LPF neurons and a linear readout, 557 steps.  p: the public setting of the field, Linear (N to N) on dense
input and LIF, batch 16, 500 steps.
"""
FLOORS = """Floors are the least times, in ms, that the sizes and rates of a row allow on this machine, by what it was
measured to do when the run began: multiply matrices, add rows of weights, copy. Behind each, how many times that ours
takes. `benchmarks/floors.py` has the formulae.
"""
EQUATIONS = """Before a case is timed, spikes and gradients are compared with ours. Cells without a star agree: in
float64, or, where a library makes spikes of float32 whatever it is given, in float32 apart from samples in which
rounding flips a spike (at most one in eight). A star marks a library's own equations at the same sizes: Norse has a
synaptic current, scaled so that rates are alike, and is reset within the step; SpikingJelly, sinabs and snnTorch's
`Leaky` are reset before the next current is added, ours after it. Their rates stand in the rows.

Norse and sinabs index the sequence at every step, and the gradient of that costs a pass over the whole sequence each
time: where the gradient of a layer's input is wanted (a, c, p) their time grows with the square of the number of steps.
"""
DISTURBED = """{} of {} rows were disturbed by other work on the machine: it left fewer processors than threads. Times
of these rows are too long, their ratios spread wider, and their targets are not judged.
"""
MEMORY = """## Memory against the length of sequences

Peak resident memory of forward plus backward in MB, beyond inputs, outputs and gradients; 700 inputs to {neurons}
recurrent LIF, batch {batch}, each point in a fresh process. "~" is drawn on as a line from the last two points that fit
into half of the free memory.
"""
LEARNING = """## Learning rules

One training iteration by the same script (`benchmarks/learning.py`). e-prop and BPTT: workload d, also with recurrent
weights in the hidden layer. RLS: all recurrent weights of 522 rate neurons at every one of 557 steps. NeuroTorch's
e-prop updates at every step in both rows.
"""


def merged(files: list[Path]) -> dict[str, Any]:
    """One set of rows, memory by candidate and steps; `runs` says where they are from."""
    rows: dict[tuple, dict] = {}
    memory: dict[tuple, dict] = {}
    runs = []
    for file in files:
        data = json.loads(file.read_text())
        kept = ("command", "hardware", "commit", "date", "versions")
        runs.append({**{key: data[key] for key in kept}, "ceilings": data.get("ceilings", [])})
        rows.update({(row["workload"], row["part"], row["threads"]): row for row in data["rows"]})
        memory.update({(row["candidate"], row["steps"]): row for row in data.get("memory", [])})
    return {"runs": runs, "rows": list(rows.values()), "memory": list(memory.values())}


def rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def number(milliseconds: float) -> str:
    return f"{milliseconds:.3g}" if milliseconds < 1000 else f"{milliseconds:,.0f}"


def cell(row: dict[str, Any], name: str) -> str:
    if name not in row["milliseconds"]:
        return "-"
    time = number(row["milliseconds"][name])
    if name == "ours":
        return time
    star = "\\*" if row["checked"].get(name) == "own equations" else ""
    if name not in row["ratio"]:
        return time
    return f"{time}{star}, {row['ratio'][name]:.1f}x ({row['ratio_low'][name]:.1f}-{row['ratio_high'][name]:.1f})"


def ceilings(run: dict[str, Any]) -> str:
    """What the machine did when a run began; a sentence per number of threads."""
    said = []
    for found in run["ceilings"]:
        threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
        guessed = " (others were busy: at least those of one thread so many times)" if found.get("guessed") else ""
        parts = [f"With {threads}{guessed}: products {found['gemm']:.0f} GFLOP/s"]
        for what, curve in (("weight rows", found["rows"]), ("copies", found["copy"])):
            sizes, values = zip(*((f"{size:g}", f"{value:.0f}") for size, value in curve))
            parts.append(f"{what} {' / '.join(values)} GB/s at {' / '.join(sizes)} MB")
        said.append(f"{', '.join(parts)}.")
    return " ".join(said)


def table(rows: list[dict[str, Any]], named: str = "workload") -> str:
    """Markdown; only candidates that a row has."""
    names = [n for n in ORDER if any(n in row["milliseconds"] for row in rows)]
    floors = any(row.get("floor") is not None for row in rows)
    titles = [named, "threads", "rounds", "rate", *(NAMES[n] for n in names), *["floor"][:floors], "target"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for data in rows:
        row, cells = Row.of(data), [cell(data, name) for name in names]
        first = [row.workload, str(row.threads), str(row.rounds), row.rates()]
        lines.append(f"| {' | '.join([*first, *cells, *[row.least()][:floors], row.verdict(NAMES)])} |")
    return "\n".join(lines)


def memory_table(rows: list[dict[str, Any]]) -> str:
    steps = sorted({row["steps"] for row in rows})
    lines = ["| candidate | " + " | ".join(f"T={t:,}" for t in steps) + " |", "| --- " * (1 + len(steps)) + "|"]
    for name in [n for n in ORDER if any(row["candidate"] == n for row in rows)]:
        at = {row["steps"]: row for row in rows if row["candidate"] == name}
        cells = [
            f"{'~' if at[t]['extrapolated'] else ''}{at[t]['bytes'] / 1e6:,.0f}" if t in at else "-" for t in steps
        ]
        lines.append(f"| {NAMES[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def memory_ratio(rows: list[dict[str, Any]]) -> str:
    """One sentence on the longest sequence that both have."""
    at = {(row["candidate"], row["steps"]): row for row in rows}
    both = [t for name, t in at if name == "recomputed" and ("neurotorch", t) in at]
    if not both:
        return ""
    ours, theirs = at["recomputed", max(both)], at["neurotorch", max(both)]
    said = " as extrapolated" if theirs["extrapolated"] else ""
    times = theirs["bytes"] / max(ours["bytes"], 1)
    return (
        f"At T={max(both):,}, ours with `recompute_every=100` takes {times:,.0f} times less than NeuroTorch 0.0.2"
        f"{said} (target: 10 times)."
    )


def page(data: dict[str, Any], figures: list[str]) -> str:
    rows = data["rows"]
    kinds = {"learning", "import"}
    workloads = [row for row in rows if row["kind"] not in kinds]
    text = [INTRO]
    for run in data["runs"]:
        versions = {name: version for name, version in run["versions"].items() if name not in ("torch", "neurotorch")}
        others = [f"{NAMES.get(name, name)} {version}" for name, version in versions.items()]
        text.append(
            f"Run of {run['date']} at commit {run['commit']}, `{run['command']}`, on {run['hardware']}"
            f"{'; ' if others else ''}{', '.join(others)}.\n"
        )
        if run["ceilings"]:
            text.append(f"{ceilings(run)}\n")
    disturbed = sum(row["disturbed"] for row in rows)
    text.append(
        DISTURBED.format(disturbed, len(rows)) if disturbed else "No row was disturbed by other work on the machine.\n"
    )
    text += [WORKLOADS, EQUATIONS]
    if any(row.get("floor") for row in rows):
        text.append(FLOORS)
    for part, title in (("both", "Forward plus backward"), ("forward", "Forward alone")):
        chosen = [row for row in workloads if row["part"] == part]
        if chosen:
            text.append(f"### {title}\n\n{table(chosen)}\n")
    if "times" in figures:
        text.append("![Time against steps, neurons, batch and rate](benchmarks/times.svg)\n")
    if data["memory"]:
        text += [
            MEMORY.format(**data["memory"][0]),
            f"{memory_table(data['memory'])}\n\n{memory_ratio(data['memory'])}\n",
        ]
        if "memory" in figures:
            text.append("![Memory against steps](benchmarks/memory.svg)\n")
    learning = [row for row in rows if row["kind"] == "learning"]
    if learning:
        text += [LEARNING, table(learning, "rule") + "\n"]
    for row in rows:
        if row["kind"] == "import":
            text.append(
                f"## Import\n\n`import neurotorch` takes {row['milliseconds']['ours']:.0f} ms, `import torch` "
                f"{row['milliseconds']['torch']:.0f} ms, {1 / row['ratio']['torch']:.2f} times as long (target: 1.3; "
                f"{'reached' if row['ratio']['torch'] >= row['target']['torch'] else 'not reached'}).\n"
            )
    return "\n".join(text)


# Lines around a generated table.
BEGIN, END = "<!-- written by benchmarks/report.py -->\n", "<!-- end -->\n"
# What README.md says of a case, and with how many threads.
SPEED = {
    ("a T=500", 1): "feed-forward LIF, 512 neurons, batch 32, 500 steps",
    ("b N=512 B=1", 1): "700 inputs to 512 recurrent LIF, batch 1, 100 steps, 5 % rate",
    ("b N=512 B=1 T=500", 1): "the same, 500 steps",
    ("b N=512 B=32", 1): "700 inputs to 512 recurrent LIF, batch 32, 100 steps, 5 % rate",
    ("b N=1024 B=32", 1): "700 inputs to 1024 recurrent LIF, batch 32, 100 steps, 5 % rate",
    ("c", 1): "MNIST training step, 784-100-10, batch 256, 100 steps",
    ("d", 1): "closed loop of 522 SpyLIF-LPF, 557 steps, BPTT",
    ("d", 2): "the same, two threads",
}


def speed_table(rows: list[Row]) -> str:
    """Both passes of the cases that README.md shows."""
    at = {(row.workload, row.threads): row for row in rows if row.part == "both"}
    lines = ["| workload | ours, ms | plain loop | compiled loop |", "| --- | --- | --- | --- |"]
    for key, said in SPEED.items():
        if key in at:
            times = [f"{rounded(at[key].ratio[n])}x" if n in at[key].ratio else "-" for n in ("loop", "compiled")]
            lines.append(f"| {said} | {rounded(at[key].milliseconds['ours'])} | {' | '.join(times)} |")
    return "\n".join(lines)


def replaced(file: Path, text: str) -> None:
    """Puts `text` between the lines that say where a generated table begins and ends."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{file} needs one line {BEGIN.strip()} and a line {END.strip()} after it")
    with written_whole(file) as path:
        path.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")


def write_loops(data: dict[str, Any], folder: Path) -> None:
    """The tables of README.md and benchmarks/README.md in `folder`; rows of single models stay in their file."""
    rows = [Row.of(row) for row in data["rows"] if not row["workload"].startswith("model ")]
    runs = [
        f"One run of `{run['command']}` at commit {run['commit']} on {run['date']}, {run['hardware']}. {ceilings(run)}"
        for run in data["runs"]
    ]
    replaced(folder / "benchmarks" / "README.md", "\n\n".join([*runs, loops_table(rows)]))
    replaced(folder / "README.md", speed_table(rows))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs", help="folder of benchmarks.md; figures go into its benchmarks/"
    )
    parser.add_argument("--readme", type=Path, default=ROOT, help="folder of README.md and benchmarks/README.md")
    asked = parser.parse_args(arguments)
    loops = [file for file in asked.rows if "loops" in json.loads(file.read_text())]
    others = [file for file in asked.rows if file not in loops]
    if loops:
        write_loops(merged(loops), asked.readme)
    if others:
        write_page(merged(others), asked.out)


def write_page(data: dict[str, Any], out: Path) -> None:
    """benchmarks.md with its figures."""
    folder = out / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    if draw_times(data["rows"], folder / "times.svg"):
        figures.append("times")
    if data["memory"] and draw_memory(data["memory"], folder / "memory.svg"):
        figures.append("memory")
    with written_whole(out / "benchmarks.md") as path:
        path.write_text(page(data, figures))


if __name__ == "__main__":
    main()
