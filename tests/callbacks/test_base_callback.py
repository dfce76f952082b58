"""Names, states and events of callbacks, alone and in lists."""

import gc
import pickle

import pytest

from neurotorch.callbacks import BaseCallback, CallbacksList, CheckpointManager, TrainingHistory

EVENTS = [name for name in vars(BaseCallback) if name.startswith("on_")]


class Counter(BaseCallback):
    def __init__(self, count=0, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def get_state(self):
        return {"count": self.count}


def test_every_event_reaches_every_callback_in_order():
    seen = []

    def log(name, event):
        return lambda trainer, *args, **kwargs: seen.append((name, event, kwargs)) or [{}]

    first, second = BaseCallback(name="first"), BaseCallback(name="second")
    for event in ("start", *EVENTS):
        for callback in (first, second):
            setattr(callback, event, log(callback.name, event))
        arguments = ([0],) if event == "on_trajectory_end" else ()
        getattr(CallbacksList([first, second]), event)("trainer", *arguments, x=1)
        assert seen == [("first", event, {"x": 1}), ("second", event, {"x": 1})]
        seen.clear()


def test_names_depend_on_the_place_in_the_list_alone():
    for _ in range(2):
        made = CallbacksList([Counter(), BaseCallback(), Counter(), Counter(name="own")])
        assert [callback.name for callback in made] == ["Counter", "BaseCallback", "Counter_1", "own"]


def test_states_go_by_name_and_flags():
    saved = CallbacksList([Counter(1), Counter(2), Counter(3, save_state=False), BaseCallback()])
    state = saved.get_checkpoint_state(None)
    assert state == {"Counter": {"count": 1}, "Counter_1": {"count": 2}}
    loaded = CallbacksList([Counter(), Counter(load_state=False), Counter(save_state=False)])
    loaded.load_checkpoint_state(None, state)
    assert [callback.count for callback in loaded] == [1, 0, 0]
    with pytest.warns(UserWarning, match="no state of callback 'other'"):
        CallbacksList([Counter(name="other")]).load_checkpoint_state(None, state)


def test_sorting_is_stable_and_removal_works():
    a, b, c = BaseCallback(name="a"), BaseCallback(name="b", priority=0), BaseCallback(name="c")
    made = CallbacksList([a, b, c])
    assert [callback.name for callback in made.sort_callbacks_()] == ["b", "a", "c"]
    assert [callback.name for callback in made.sort_callbacks_(reverse=True)] == ["a", "c", "b"]
    made.remove(a)
    assert len(made) == 2
    assert made[0] is c
    with pytest.raises(AssertionError, match="expected BaseCallback, got int"):
        made.append(3)


def test_all_are_closed_when_one_fails():
    closed = []

    class Closes(BaseCallback):
        def close(self, trainer, **kwargs):
            closed.append(self.name)
            if self.name == "a":
                raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        CallbacksList([Closes(name="a"), Closes(name="b")]).close(None)
    assert closed == ["a", "b"]


def test_bar_and_trajectory_values_are_merged():
    a, b, c = BaseCallback(name="a"), BaseCallback(name="b"), BaseCallback(name="c")
    a.on_pbar_update, b.on_pbar_update = lambda trainer: {"x": 1}, lambda trainer: 5
    made = CallbacksList([a, b, c])
    assert made.on_pbar_update(None) == {"x": 1, "b": 5}
    a.on_trajectory_end = lambda trainer, trajectory: [{"r": 0}, {"r": 1}]
    b.on_trajectory_end = lambda trainer, trajectory: [{"r": 2}, {}]
    assert made.on_trajectory_end(None, [0, 0]) == [{"r": 2}, {"r": 1}]
    c.on_trajectory_end = lambda trainer, trajectory: [{}]
    with pytest.raises(AssertionError, match="c: expected 2 steps, got 1"):
        made.on_trajectory_end(None, [0, 0])


def test_pickles_without_the_trainer():
    callback = Counter(4)
    callback.start(lambda: 0)
    again = pickle.loads(pickle.dumps(callback))
    assert (again.count, again.trainer, again.priority) == (4, None, 10)
    assert callback.trainer is not None


def test_text_and_unknown_arguments():
    assert repr(BaseCallback(name="a")) == "a(priority=10, save_state=True, load_state=True)"
    assert "Counter(priority=0" in repr(CallbacksList([Counter(priority=0)]))
    with pytest.warns(UserWarning, match="TrainingHistory: unknown argument 'defaultvalue'.*'default_value'"):
        TrainingHistory(defaultvalue=0.0)


def test_living_instances_of_a_class_are_counted():
    class Counted(BaseCallback):
        pass

    class Derived(Counted):
        pass

    first, second = Counted(), Counted()
    derived = Derived()
    assert (first.instance_id, second.instance_id, derived.instance_id) == (0, 1, 0)
    assert (Counted.instance_counter, Derived.instance_counter) == (2, 1)
    del first
    gc.collect()
    assert (Counted.instance_counter, Derived.instance_counter) == (1, 1)


def test_priority_of_a_class_is_that_of_its_objects():
    class Early(CheckpointManager):
        DEFAULT_PRIORITY = 3

    assert (Early().priority, CheckpointManager().priority, Early(priority=5).priority) == (3, 100, 5)
