"""The sentence on a run's bottleneck, over runs whose bottleneck is clear."""

import pytest

from pipeline.execution.bottleneck import bottleneck
from pipeline.execution.timings import RunTimings
from pipeline.stages.receipt import ActorSeconds, StageSeconds


def timings(stage_s, actor_s, *, startup_s=2.0, making_s=100.0, finishing_s=1.0):
    wall_s = startup_s + making_s + finishing_s
    return RunTimings(
        {"d": 100}, wall_s, stage_s, 0, actor_s, startup_s, making_s, finishing_s=finishing_s
    )


# Two actors over 100 s, unless the case is another.
CASES = {
    "prediction": (
        timings(
            StageSeconds(read_s=40, decode_s=20, predict_s=150, encode_s=10, write_s=5),
            ActorSeconds(queued_s=400, waited_s=14, worked_s=186),
        ),
        (
            "Bottleneck: prediction: the actors were busy 93% of the time, of which "
            "prediction took 81%, decoding 11%, encoding 5%, taking over parts 3%."
        ),
    ),
    "decoding": (
        timings(
            StageSeconds(read_s=40, decode_s=150, predict_s=30, encode_s=10, write_s=5),
            ActorSeconds(queued_s=400, waited_s=10, worked_s=190),
        ),
        (
            "Bottleneck: decoding: the actors were busy 95% of the time, of which decoding "
            "took 79%, prediction 16%, encoding 5%."
        ),
    ),
    "encoding, as of masks that are scored": (
        timings(
            StageSeconds(read_s=10, decode_s=40, encode_s=120, write_s=5),
            ActorSeconds(queued_s=50, waited_s=40, worked_s=160),
        ),
        (
            "Bottleneck: encoding: the actors were busy 80% of the time, of which encoding "
            "took 75%, decoding 25%."
        ),
    ),
    "reading": (
        timings(
            StageSeconds(read_s=380, decode_s=5, predict_s=30, encode_s=5, write_s=20),
            ActorSeconds(queued_s=1, waited_s=160, worked_s=40),
        ),
        (
            "Bottleneck: reading: the actors waited for parts 80% of their time, and the last"
            " commit came 1.0 s after they were done; on average 3.8 readers and 0.2 "
            "committers were at work."
        ),
    ),
    "committing, which holds the actors up": (
        timings(
            StageSeconds(read_s=20, decode_s=5, predict_s=30, encode_s=5, write_s=390),
            ActorSeconds(queued_s=900, waited_s=160, worked_s=40),
        ),
        (
            "Bottleneck: committing: the actors waited for parts 80% of their time, and the "
            "last commit came 1.0 s after they were done; on average 0.2 readers and 3.9 "
            "committers were at work."
        ),
    ),
    "committing, long after the actors were done": (
        timings(
            StageSeconds(read_s=5, decode_s=5, predict_s=12, encode_s=1, write_s=160),
            ActorSeconds(queued_s=10, waited_s=2, worked_s=18),
            making_s=10.0,
            finishing_s=70.0,
        ),
        (
            "Bottleneck: committing: the actors waited for parts 10% of their time, and the "
            "last commit came 70.0 s after they were done; on average 0.1 readers and 2.0 "
            "committers were at work."
        ),
    ),
    "nobody at work": (
        timings(
            StageSeconds(read_s=5, decode_s=5, predict_s=30, encode_s=5, write_s=5),
            ActorSeconds(queued_s=300, waited_s=160, worked_s=40),
        ),
        (
            "Bottleneck: Ray and the driver: the actors waited for parts 80% of their time, "
            "and the last commit came 1.0 s after they were done; on average 0.0 readers and "
            "0.0 committers were at work."
        ),
    ),
    "a small job": (
        timings(
            StageSeconds(read_s=0.1, decode_s=0.1, predict_s=0.7, encode_s=0.1, write_s=0.1),
            ActorSeconds(queued_s=0.5, worked_s=0.9),
            startup_s=9.0,
            making_s=1.0,
            finishing_s=0.2,
        ),
        (
            "Bottleneck: starting: 9.0 of 10.2 s went by before an actor took the first part "
            "(Ray, actors, checkpoint, first reading)."
        ),
    ),
}


@pytest.mark.parametrize(("case", "sentence"), CASES.values(), ids=CASES)
def test_the_bottleneck_is_named_with_its_figures(case, sentence):
    assert bottleneck(case) == sentence


def test_a_run_that_made_nothing_has_none():
    assert bottleneck(RunTimings()) is None
