"""The table of metrics, where it has holes or is given something else than numbers."""

import math

import numpy as np
import pytest
import torch

from neurotorch import TrainingHistory


@pytest.mark.parametrize("value", [[1.0], np.eye(2), torch.ones(3), "text", None])
def test_a_metric_that_is_no_number_is_named_and_changes_nothing(value):
    history = TrainingHistory({"a": [1.0]})
    with pytest.raises(NotImplementedError, match="confusion: expected a number"):
        history.insert(1, {"a": 2.0, "confusion": value})
    assert history.items() == [("a", [1.0])]


def test_scalars_of_numpy_and_torch_become_numbers():
    history = TrainingHistory()
    history.insert(0, {"a": np.float32(0.5), "b": torch.tensor(2.0), "c": np.array(3)})
    assert history.get_item_at() == {"a": 0.5, "b": 2.0, "c": 3.0}
    assert all(type(value) is float for value in history.get_item_at().values())


def test_holes_hold_the_default_and_best_rows_pass_over_nan():
    history = TrainingHistory(default_value=-1.0)
    history.insert(2, {"a": 4.0})
    history.append("b", 7.0)
    assert history.items() == [("a", [-1.0, -1.0, 4.0, -1.0]), ("b", [-1.0, -1.0, -1.0, 7.0])]
    holes = TrainingHistory({"a": [math.nan, 3.0, 2.0], "b": [1.0, 2.0, 3.0]})
    assert (holes.min("a"), holes.max("a")) == (2.0, 3.0)
    assert holes.min_item("a")["b"] == 3.0
    assert holes.max_item("a")["b"] == 2.0


def test_columns_have_one_length():
    history = TrainingHistory({"a": [1.0, 2.0]})
    with pytest.raises(AssertionError, match="b: expected 2 values, got 1"):
        history["b"] = [1.0]
    assert history.get("b", 5) == 5
    assert list(history) == ["a"]


def test_priority_and_rows_by_name():
    history = TrainingHistory()
    assert (history.priority, TrainingHistory.DEFAULT_PRIORITY) == (0, 0)
    history.insert(index=1, other={"a": 2.0})
    assert history.get("a")[1] == 2.0
