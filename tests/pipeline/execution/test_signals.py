"""Signals to a run: the first is a wish to stop soon, the second to stop at once."""

import signal
import threading

import pytest

from pipeline.execution.signals import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_and_the_second_interrupts(number):
    asked = threading.Event()

    with Interruption(asked.set, limit_s=60) as interruption:
        signal.raise_signal(number)
        assert asked.wait(5)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_stop_that_takes_too_long_is_an_interruption():
    over = threading.Event()

    with Interruption(lambda: None, limit_s=0.05), pytest.raises(KeyboardInterrupt):  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        over.wait(5)


def test_handlers_are_as_before_behind_the_block():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with Interruption(lambda: None, limit_s=60) as interruption:
        within = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert within != before
    assert not interruption.requested


def test_in_another_thread_signals_are_left_alone():
    before, found = signal.getsignal(signal.SIGTERM), []

    def enter():
        with Interruption(lambda: None, limit_s=60):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert found == [before]
