"""Binning by hand, batches against samples, and data sets of events in memory and in the manner of tonic."""

import numpy as np
import pytest
import torch

from neurotorch.datasets import EventBins, Events, StoredEvents, TonicEvents

TIMES = np.array([0.0, 0.09, 0.1, 0.25, 0.25, 0.39, 0.4, -0.01, 0.3])
UNITS = np.array([0, 1, 1, 4, 4, 3, 0, 2, 0])
#        step    0  0  1  2  2  3  -   -   3   in steps of 0.1 s from 0 on, T = 4


def stored(bins, n=3):
    """Sample 0 is the one above, sample 1 has no events, sample 2 is sample 0 with every event twice."""
    times = [TIMES, TIMES[:0], np.repeat(TIMES, 2)][:n]
    units = [UNITS, UNITS[:0], np.repeat(UNITS, 2)][:n]
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in times])])
    return StoredEvents(np.concatenate(times), np.concatenate(units), offsets, np.arange(n), 5, bins)


def by_hand(bins, n_units=5):
    """What the definition says, one event after the other."""
    x = np.zeros((bins.n_steps, -(-n_units // bins.pool)), np.float32)
    for t, unit in zip(TIMES, UNITS, strict=True):
        for k in range(bins.n_steps):
            if bins.start + k * bins.dt - 1e-9 <= t < bins.start + (k + 1) * bins.dt - 1e-9:
                x[k, unit // bins.pool] += 1
    return np.minimum(x, 1) if bins.binary else x


@pytest.mark.parametrize(
    "bins",
    [
        EventBins(4, 0.1),
        EventBins(4, 0.1, binary=False),
        EventBins(3, 0.1, start=0.05),
        EventBins(8, 0.05, start=-0.05, binary=False),
        EventBins(2, 0.2, binary=False, pool=2),
        EventBins(1, 1.0, pool=5),
    ],
)
def test_binning_by_hand(bins):
    dataset = stored(bins)
    expected = by_hand(bins)
    assert expected.sum() > 0
    x, y = dataset[0]
    np.testing.assert_array_equal(x.numpy(), expected)
    assert (y, x.dtype) == (0, torch.float32)
    assert dataset.n_inputs == expected.shape[1]
    assert not dataset[1][0].any()
    np.testing.assert_array_equal(dataset[2][0].numpy(), expected if bins.binary else 2 * expected)


def test_steps_are_what_they_are_said_to_be():
    x = stored(EventBins(4, 0.1, binary=False))[0][0]
    assert x.nonzero().tolist() == [[0, 0], [0, 1], [1, 1], [2, 4], [3, 0], [3, 3]]
    assert x[2, 4] == 2


def test_edges_are_not_lost_to_rounding():
    """Every time is k steps in exact arithmetic; most of the quotients are a little less."""
    steps = np.arange(1000)
    x = StoredEvents(steps * 20, np.zeros(1000, int), [0, 1000], [0], 1, EventBins(1000, 0.01), tick=0.0005)[0][0]
    assert x.sum() == 1000


@pytest.mark.parametrize("bins", [EventBins(4, 0.1), EventBins(4, 0.1, binary=False, pool=2)])
def test_batches_are_sparse_and_equal_to_samples(bins):
    dataset = stored(bins)
    x, y = dataset.batch([2, 0, 1, 0])
    assert x.layout == torch.sparse_coo
    assert x.is_coalesced()
    torch.sparse_coo_tensor(x.indices(), x.values(), x.shape, check_invariants=True)
    np.testing.assert_array_equal(x.indices().numpy(), x.to_dense().nonzero().T.numpy())
    for k, i in enumerate([2, 0, 1, 0]):
        np.testing.assert_array_equal(x.to_dense()[k].numpy(), dataset[i][0].numpy())
    assert y.tolist() == [2, 0, 1, 0]
    assert y.dtype == torch.int64


def test_chunks_of_samples_make_no_difference(monkeypatch):
    whole = stored(EventBins(4, 0.1, binary=False)).batch(range(3))[0].to_dense()
    monkeypatch.setattr(StoredEvents, "_AT_ONCE", 1)
    np.testing.assert_array_equal(stored(EventBins(4, 0.1, binary=False)).batch(range(3))[0].to_dense(), whole)


def test_plain_data_loaders_work_too():
    x, y = next(iter(torch.utils.data.DataLoader(stored(EventBins(4, 0.1)), batch_size=3)))
    assert x.shape == (3, 4, 5)
    assert y.tolist() == [0, 1, 2]


def test_recorded_events_stay():
    dataset = stored(EventBins(4, 0.1))
    times, units = dataset.events(0)
    np.testing.assert_array_equal(times, TIMES)
    np.testing.assert_array_equal(units, UNITS)
    assert isinstance(dataset.events(-1), Events)
    assert "3 samples, 4 steps x 5 inputs, 3 classes" in repr(dataset)
    with pytest.raises(IndexError):
        dataset[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"dt": 0.0}, "dt"),
        ({"dt": np.nan}, "dt"),
        ({"start": np.inf}, "start"),
        ({"pool": 0}, "pool"),
    ],
)
def test_bad_bins_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}: expected"):
        EventBins(**arguments)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"units": [0, 5]}, "units: expected 0 to 4, got 0 to 5"),
        ({"units": [0]}, "units: expected as many"),
        ({"offsets": [0, 1]}, "offsets: expected 3 for 2"),
        ({"offsets": [0, 2, 1]}, "offsets: expected an ascent"),
        ({"offsets": [0, 1, 3]}, "offsets: expected an ascent"),
        ({"targets": [0, 2], "classes": ["a", "b"]}, "targets: expected 0 to 1, got 2"),
        ({"targets": [0, -1]}, "targets: expected 0 to 0, got -1"),
    ],
)
def test_bad_arrays_are_named(changed, message):
    given = {"times": [0.0, 1.0], "units": [0, 1], "offsets": [0, 1, 2], "targets": [0, 1], **changed}
    arrays = {name: np.array(value) if name != "classes" else value for name, value in given.items()}
    with pytest.raises(ValueError, match=message):
        StoredEvents(**arrays, n_units=5, bins=EventBins(4, 0.1))


def sensor_events(t, x, y, p):
    events = np.zeros(len(t), dtype=[("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")])
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events


SENSOR = [
    (sensor_events([0, 1500, 1999, 2000, 9000], [0, 2, 2, 1, 0], [0, 1, 1, 0, 0], [0, 1, 0, 1, 1]), 1),
    (sensor_events([], [], [], []), 0),
]


@pytest.mark.parametrize(
    ("polarity", "places", "n_units"),
    [
        ("separate", {(0, 0): 1, (1, 5): 1, (1, 11): 1, (2, 7): 1}, 12),
        ("merge", {(0, 0): 1, (1, 5): 2, (2, 1): 1}, 6),
        ("off", {(0, 0): 1, (1, 5): 1}, 6),
        ("on", {(1, 5): 1, (2, 1): 1}, 6),
    ],
)
def test_polarity(polarity, places, n_units):
    dataset = TonicEvents(SENSOR, (3, 2, 2), EventBins(3, 0.001, binary=False), polarity=polarity)
    assert (len(dataset), dataset.n_units) == (2, n_units)
    x, y = dataset[0]
    assert {tuple(k): x[tuple(k)].item() for k in x.nonzero().tolist()} == places
    assert y == 1
    batch, classes = dataset.batch([1, 0])
    np.testing.assert_array_equal(batch.to_dense()[1], x)
    assert not batch.to_dense()[0].any()
    assert classes.tolist() == [0, 1]


def test_events_without_rows_and_polarity():
    events = np.zeros(2, dtype=[("t", "i8"), ("x", "i2"), ("p", "i2")])
    events["t"], events["x"], events["p"] = [0, 1_000_000], [3, 699], 1
    dataset = TonicEvents([(events, 7)], (700, 1, 1), EventBins(2, 1.0), classes="abcdefgh")
    assert dataset[0][0].nonzero().tolist() == [[0, 3], [1, 699]]
    assert dataset.classes[dataset[0][1]] == "h"


class Known(list):
    """Samples that may not be read just to know the classes."""

    targets = (1, 0)

    def __getitem__(self, index):
        raise AssertionError("read")


def test_known_classes_are_not_read():
    assert TonicEvents(Known(SENSOR), (3, 2, 2), EventBins(3, 0.001)).targets.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"polarity": "both"}, "polarity: expected one of separate"),
        ({"sensor_size": (3, 2)}, "sensor_size"),
        ({"tick": 0.0}, "tick"),
        ({"targets": [1]}, "targets: expected 2"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TonicEvents(SENSOR, **{"sensor_size": (3, 2, 2), "bins": EventBins(3, 0.001), **arguments})


def test_bad_samples_are_named():
    with pytest.raises(ValueError, match="sample 0 has x from 0 to 2, expected 0 to 1"):
        TonicEvents(SENSOR, (2, 2, 2), EventBins(3, 0.001))[0]
    with pytest.raises(ValueError, match="expected events with fields t and x"):
        TonicEvents([(np.zeros((3, 4)), 0)], (2, 2, 2), EventBins(3, 0.001))[0]
