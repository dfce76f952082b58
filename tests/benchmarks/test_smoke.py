"""The benchmarks at a tiny size: candidates agree, and rows come out whole. No time is judged."""

from functools import partial

import pytest
import torch

cases = pytest.importorskip("comparisons")
interleave = pytest.importorskip("interleave")
models = pytest.importorskip("models")

TINY = {
    **{name: partial(case.make, torch.float64) for name, case in cases.TINY.items()},
    **{f"model {m}": partial(models.layer_of, m, 20, 2, 30, 30, 0.3, torch.float64) for m in models.LAYERS},
}


@pytest.mark.parametrize("name", list(TINY))
def test_candidates_agree_and_rows_are_whole(name):
    workload = TINY[name]()
    (out, grads), (expected, expected_grads) = workload.step("ours"), workload.step("loop")
    torch.testing.assert_close(out, expected)
    for grad, other in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, other)
        assert other.abs().max() > 0
    times = interleave.interleave({c: partial(workload.step, c) for c in ("ours", "loop")}, 0.0)
    row = interleave.summarise(name, "both", 1, 0.1, times, {"loop": 0.0})
    assert row.rounds == 5
    assert row.reached()
    assert f"| {name} | both | 1 |" in interleave.table([row])
