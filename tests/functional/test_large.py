"""Sizes at which layers and networks go other ways: large weights, long sequences, large buffers."""

import os
import subprocess
import sys

import pytest
import torch
from cases import assert_equal_bits, assert_matches_oracle, fused, make_case, outcome
from networks import LayerSpec, assert_network_matches_oracle, make_network

import neurotorch.functional as F

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def one_by_one(case):
    """Every sample by itself."""
    outs, finals = [], []
    for b in range(len(case.x)):
        part = case.having(case.tensors)
        part.x, part.state = case.x[b : b + 1], [s[b : b + 1] for s in case.state]
        out, state = part.run()
        outs.append(out)
        finals.append(state)
    return torch.cat(outs), tuple(torch.cat(parts) for parts in zip(*finals, strict=True))


# Weights beyond the second-level cache, more samples than one block and than six, four and two rows at a time; steps
# enough to copy the weights; lines of 64 bytes that do not divide into panels of four.
@DTYPES
@pytest.mark.parametrize(("neurons", "batch"), [(592, 45), (656, 7), (1024, 1)])
@pytest.mark.parametrize("threshold", [0.75, -0.2], ids=["few spikes", "many spikes"])
def test_weights_beyond_the_cache(neurons, batch, threshold, dtype):
    case = make_case("lif", batch, 17, neurons=neurons, weight=False, recurrent=True, dtype=dtype)
    case.constants[1] = torch.full_like(case.constants[1], threshold)
    case.recurrent_weight /= 4
    whole, parts = outcome(case, fused()), outcome(case, one_by_one)
    rate = whole.out.mean(-1)  # above 35 % a product is dense
    assert bool((rate > 0.35).all() if threshold < 0 else (rate < 0.35).all() and rate.mean() > 0.05)
    assert_equal_bits(whole.per_sample, parts.per_sample)


def test_weights_beyond_the_cache_match_the_oracle():
    assert_matches_oracle(make_case("spy_lif", 7, 17, neurons=656, recurrent=True, rate=0.1))


@pytest.mark.parametrize("batch", [1, 5])
def test_closed_loop_beyond_the_cache(batch):
    layers = [LayerSpec("spy_lif_lpf", 392, recurrent=True)], [], [LayerSpec("linear", 328, activation="sigmoid")]
    assert_network_matches_oracle(make_network(*layers, sizes=[328], feedback=[0], batch=batch, steps=2, foresight=17))


# 4 MiB and more of rows that are whole cache lines, or not, beside samples of less.
@DTYPES
@pytest.mark.parametrize("model", ["lif", "spy_lif", "li", "wilson_cowan"])
@pytest.mark.parametrize("neurons", [512, 500])
def test_streamed_sequences(model, neurons, dtype):
    recurrent = model == "wilson_cowan"
    case = make_case(model, 5, 450, neurons=neurons, weight=False, recurrent=recurrent, dtype=dtype)
    assert_equal_bits(outcome(case, fused()).per_sample, outcome(case, one_by_one).per_sample)


@pytest.mark.parametrize("trace", [False, True], ids=["final", "trace"])
def test_streamed_recurrence(trace):
    case = make_case("lif", 3, 1500, neurons=960, weight=False, recurrent=True, dtype=torch.float32, trace=trace)
    case.recurrent_weight /= 8
    whole = outcome(case, fused(trace), read=[0])
    assert_equal_bits({"out": whole.out}, {"out": outcome(case, one_by_one, read=[0]).out})


def large():
    return F.lif(torch.randn(4, 200, 512), alpha=0.9, gamma=5.0)[0]


def test_large_buffers_are_used_again():
    F.release_memory()
    first = large()
    place = first.data_ptr()
    del first
    assert large().data_ptr() == place
    assert F.release_memory() >= 4 * 200 * 512 * 4
    assert F.release_memory() == 0


def test_large_buffers_are_not_used_twice():
    first = large()
    kept = first.clone()
    others = [large() for _ in range(4)]
    assert len({t.data_ptr() for t in (first, *others)}) == 5
    assert torch.equal(first, kept)


RUN = """
import torch
import neurotorch.functional as F
for steps in (200, 2000):
    out = F.lif(torch.randn(4, steps, 512), alpha=0.9, gamma=5.0)[0]
    del out
print(F.release_memory())
"""


def in_process(limit):
    environment = {**os.environ, "NEUROTORCH_POOL_MB": limit}
    return subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, env=environment)


def test_limit_of_the_pool():
    small, large = 4 * 200 * 512 * 4, 4 * 2000 * 512 * 4
    assert in_process("0").stdout.strip() == "0"
    assert small <= int(in_process("8").stdout) < large  # what is too large does not push out the rest
    assert int(in_process("64").stdout) >= small + large


def test_bad_limit_is_named():
    failed = in_process("much")
    assert failed.returncode != 0
    assert "NEUROTORCH_POOL_MB: expected a number of MiB, got 'much'" in failed.stderr
