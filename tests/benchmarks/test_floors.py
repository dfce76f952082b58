"""Floors: ceilings that follow from the machine, times that follow from ceilings."""

import pytest
import torch

cases = pytest.importorskip("comparisons")
floors = pytest.importorskip("floors")
interleave = pytest.importorskip("interleave")

# The processor on which the targets were set: GFLOP/s, and GB/s by MB.
ZEN4 = floors.Ceilings(1, 100.0, ((1.0, 80.0), (64.0, 80.0)), ((16.0, 70.0), (64.0, 19.0)))


# Forward and backward by hand, in ms, for that processor and the rates that the names say.
@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("b N=128 B=32", 0.95, 2.0),
        ("b N=512 B=32", 5.3, 23.0),
        ("b N=1024 B=32", 16.0, 84.0),
        ("a T=500", 3.4, 6.9),
        ("d", 15.2, 21.3),
    ],
)
def test_floors_are_those_of_a_count_by_hand(name, forward, backward):
    case = cases.CASES[name]
    made = case.make()
    found = floors.floors_of(case.workload, made, made.rate(), ZEN4)
    assert found["forward"] == pytest.approx(forward, rel=0.1)
    assert found["both"] - found["forward"] == pytest.approx(backward, rel=0.1)


def test_compact_surrogates_need_fewer_products():
    case, plain = cases.CASES["b triangle N=512 B=32"], cases.CASES["b N=512 B=32"]
    made, other = case.make(), plain.make()
    assert 0.05 < made.inside() < 0.1
    assert other.inside is None
    compact, dense = (floors.floors_of("recurrent", m, m.rate(), ZEN4) for m in (made, other))
    assert compact["forward"] == dense["forward"]
    saved = 2e-9 * 3200 * 512 * 512 / 100 - made.inside() * 4e-9 * 3200 * 512 * 512 / 80
    assert dense["both"] - compact["both"] == pytest.approx(1e3 * saved)


def test_inside_is_where_the_derivative_is_not_zero():
    made = cases.TINY["b triangle"].make(torch.float64)
    weight, rec = made.parameters
    current = (made.x @ weight).detach().requires_grad_()
    loops = pytest.importorskip("loops")
    v, z, inside = torch.zeros(8, 12).double(), torch.zeros(8, 12).double(), 0
    for t in range(20):
        v = (loops.ALPHA * v + current[:, t] + z @ rec) * (1 - z)
        v = v.detach().requires_grad_()
        z = loops.TriangleSpike.apply(v, 10.0)
        inside += torch.autograd.grad(z.sum(), v)[0].count_nonzero().item()
        z = z.detach()
    assert inside > 0
    assert made.inside() == pytest.approx(inside / current.numel())


@pytest.mark.parametrize(
    ("rate", "steps", "expected"),
    [
        # Dense: 2 * 1000 * 64 * 64 / 100 GFLOP/s; event-driven: 4 bytes per weight at 80 GB/s.
        (1.0, 1, 2 * 1000 * 64 * 64 / 100e9),
        (0.1, 1, 0.1 * 4 * 1000 * 64 * 64 / 80e9),
        # One sample reads the whole matrix at every step, or rows of it.
        (1.0, 1000, 4 * 1000 * 64 * 64 / 80e9),
        (0.1, 1000, 0.1 * 4 * 1000 * 64 * 64 / 80e9),
        # Eight samples share what they read.
        (1.0, 125, 2 * 1000 * 64 * 64 / 100e9),
    ],
)
def test_products(rate, steps, expected):
    assert floors.Product(1000, 64, 64, rate, steps).seconds(ZEN4) == pytest.approx(expected)


def test_large_matrices_are_read_slowly_unless_threads_share_them():
    rows = ((1.0, 80.0), (2.0, 80.0), (4.0, 20.0))
    one, two = (floors.Ceilings(n, 100.0, rows, ((1.0, 40.0),)) for n in (1, 2))
    product = floors.Product(10, 512, 1024, 1.0, 10, resident=4 * 2**20)
    assert product.seconds(one) == pytest.approx(10 * 2 * 2**20 / 20e9)
    assert product.seconds(two) == pytest.approx(10 * 2 * 2**20 / 80e9)


def test_curves_are_interpolated_and_smaller_tables_no_slower():
    at = floors.Ceilings(1, 1.0, ((1.0, 20.0), (4.0, 40.0), (16.0, 10.0)), ((1.0, 5.0),))
    assert at.reading(0) == at.reading(2 * 2**20) == 40e9
    assert at.reading(8 * 2**20) == pytest.approx(25e9)
    assert at.reading(2**40) == 10e9
    assert at.streaming(2**40) == 5e9


def test_ceilings_of_this_machine(monkeypatch):
    monkeypatch.setattr(floors, "TABLES", (0.0625, 0.25))
    monkeypatch.setattr(floors, "BUFFERS", (0.25,))
    threads = torch.get_num_threads()
    found = floors.Ceilings.measure(1, 0.001)
    assert torch.get_num_threads() == threads
    assert [size for size, _ in found.rows] == [0.0625, 0.25]
    assert found.gemm > 0.1
    assert all(value > 0.1 for _, value in (*found.rows, *found.copy))


@pytest.mark.parametrize("busy", [False, True])
def test_threads_are_no_slower_than_one(monkeypatch, busy):
    speed = {1: 10.0, 2: 8.0}
    monkeypatch.setattr(floors, "_measured", {})
    monkeypatch.setattr(floors, "crowded", lambda threads, elsewhere: busy)
    monkeypatch.setattr(
        floors.Ceilings, "measure", lambda n: floors.Ceilings(n, speed[n], ((1.0, speed[n]),), ((1.0, 50.0 * n),))
    )
    two = floors.ceilings(2)
    assert (two.gemm, two.rows, two.guessed) == (
        (20.0, ((1.0, 20.0),), True) if busy else (10.0, ((1.0, 10.0),), False)
    )
    assert two.copy == ((1.0, 100.0),)
    assert [found.threads for found in floors.measured()] == [1, 2]
    assert floors.measured()[0].gemm == 10.0


def test_rows_say_how_far_above_the_floor():
    times = interleave.Times({"ours": [0.004] * 5, "loop": [0.008] * 5})
    row = interleave.summarise("b", "both", 1, 0.05, times, {}, 2.0, 0.074)
    assert (row.floor, row.above_floor, row.inside) == (2.0, 2.0, 0.074)
    assert "| 5.0% (7.4% inside) | 4.00 | 2, 2.0x | 2.0 (2.0-2.0) | - | - |" in interleave.table([row])
    assert interleave.Row.of({**row.as_dict(), "more": 1}) == row
    old = {
        key: value for key, value in row.as_dict().items() if "floor" not in key and key not in ("inside", "disturbed")
    }
    assert "| 5.0% | 4.00 | - |" in interleave.table([interleave.Row.of(old)])


def test_workloads_that_nobody_counted_have_none():
    assert floors.floors_of("layer_of", None, 0.1, ZEN4) == {}
