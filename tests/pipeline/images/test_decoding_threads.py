"""Decoding in threads: each image for a limited time, and the others beside it."""

import threading
import time

import numpy as np
import pytest

from encoded_images import encoded
from pipeline.errors import DecodeError
from pipeline.images.decoding import decode_image
from pipeline.images.decoding_threads import decode_each
from pipeline.spec.dataset_spec import DecodeSpec

NOISE = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)


# Pillow reads this sample by sample in Python, which takes most of a second.
SLOW = b"P6 900 900 4095\n" + bytes(900 * 900 * 6)


def test_an_image_that_takes_too_long_is_given_up_and_the_others_go_on():
    spec = DecodeSpec()
    items = [encoded(NOISE), SLOW, SLOW, *[encoded(NOISE)] * 20]

    results = decode_each(lambda data: decode_image(data, spec), items, threads=2, timeout_s=0.2)
    left_behind = [thread for thread in threading.enumerate() if thread.name == "decode"]

    late = [position for position, r in enumerate(results) if isinstance(r, DecodeError)]
    assert late == [1, 2]
    assert {results[position].status for position in late} == {"crashed"}
    assert results[1].reason == "took longer than 0.2 s to decode"
    assert all((results[p].pixels == NOISE).all() for p in range(len(items)) if p not in late)
    assert left_behind
    for thread in left_behind:
        thread.join()


def test_the_wait_for_a_thread_does_not_count():
    def work(number):
        time.sleep(0.05)
        return number

    results = decode_each(work, range(10), threads=1, timeout_s=0.3)

    assert results == list(range(10))


def test_a_decoder_that_holds_pythons_lock_is_found_out_afterwards():
    def work(_):
        sum(range(50_000_000))  # one call in C, which lets no other thread run

    [result] = decode_each(work, [0], threads=1, timeout_s=0.1)

    assert str(result) == "took longer than 0.1 s to decode"


def test_a_fault_of_our_own_in_a_decoding_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        decode_each(lambda number: 1 / number, [1, 0], threads=2, timeout_s=9)
