"""Which shapes are captured, which are let go, and what happens where memory is short."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refinenet_core.prediction.cuda_graphs import CapturedShapes


def doubled(values):
    return 2 * values


class Recorder:
    """Records as a GPU does: the work is repeated on a copy of its input that stays in place."""

    def __init__(self):
        self.recorded = []
        self.replayed = Counter()

    def __call__(self, work, given):
        static = given.clone()
        self.recorded.append(tuple(given.shape))

        def replay(values):
            self.replayed[tuple(values.shape)] += 1
            static.copy_(values)
            return work(static)

        return replay


def use(captured, side, times=1, work=doubled):
    for _ in range(times):
        assert torch.equal(captured.run(work, torch.full((side,), 3.0)), torch.full((side,), 6.0))


def test_a_shape_is_captured_after_some_uses_and_replayed_from_then_on():
    recorder = Recorder()
    captured = CapturedShapes(recorder, eager_uses=3)

    use(captured, 5, times=3)
    assert recorder.recorded == []
    use(captured, 5, times=4)

    assert recorder.recorded == [(5,)]
    assert recorder.replayed == {(5,): 4}
    assert captured.shapes == {(5,)}


def test_the_least_used_makes_room_for_one_that_is_used_twice_as_often():
    recorder = Recorder()
    captured = CapturedShapes(recorder, most=2, eager_uses=1)
    use(captured, 1, times=6)
    use(captured, 2, times=3)

    use(captured, 3, times=5)
    assert captured.shapes == {(1,), (2,)}
    use(captured, 3)

    assert captured.shapes == {(1,), (3,)}
    assert recorder.recorded == [(1,), (2,), (3,)]


def test_shapes_used_in_turn_do_not_drive_each_other_out():
    """One of nine equally frequent sizes was captured anew at each use."""
    recorder = Recorder()
    captured = CapturedShapes(recorder, most=2, eager_uses=1)

    for _ in range(20):
        for side in (1, 2, 3):
            use(captured, side)

    assert len(recorder.recorded) == 2


@settings(deadline=None)
@given(sides=st.lists(st.integers(1, 6), max_size=80), most=st.integers(1, 4))
def test_whatever_the_order_results_are_the_works_and_no_more_than_allowed_is_held(sides, most):
    recorder = Recorder()
    captured = CapturedShapes(recorder, most=most, eager_uses=2)

    for number, side in enumerate(sides):
        values = torch.full((side,), float(number))
        assert torch.equal(captured.run(doubled, values), doubled(values))
        assert len(captured.shapes) <= most

    frequent = [side for side, uses in Counter(sides).items() if uses > 2]
    assert len(captured.shapes) == min(most, len(frequent))


def out_of_memory(_work, _given):
    raise torch.OutOfMemoryError("no more memory")


def out_of_memory_and_broken(work, given):
    try:
        out_of_memory(work, given)
    finally:
        raise RuntimeError("the recording cannot be ended")


@pytest.mark.parametrize("failing", [out_of_memory, out_of_memory_and_broken])
def test_where_a_capture_finds_no_memory_the_work_is_done_as_it_is(failing):
    recorder, attempts = Recorder(), []

    def capture(work, given):
        attempts.append(tuple(given.shape))
        return recorder(work, given) if given.shape == (1,) else failing(work, given)

    captured = CapturedShapes(capture, eager_uses=1)
    use(captured, 1, times=2)
    use(captured, 2, times=3)
    use(captured, 3, times=3)

    assert attempts == [(1,), (2,)]
    assert captured.shapes == {(1,)}


def test_another_failure_of_a_capture_is_not_hidden():
    def capture(_work, _given):
        raise RuntimeError("the work waits for the device")

    captured = CapturedShapes(capture, eager_uses=0)

    with pytest.raises(RuntimeError, match="waits for the device"):
        captured.run(doubled, torch.ones(2))


def test_what_is_let_go_is_not_captured_again():
    recorder = Recorder()
    captured = CapturedShapes(recorder, eager_uses=1)
    assert not captured.release()
    use(captured, 1, times=2)

    assert captured.release()
    use(captured, 1, times=5)

    assert captured.shapes == set()
    assert recorder.recorded == [(1,)]
