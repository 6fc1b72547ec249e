"""The bottleneck: what a run spent its time on, in a sentence with the figures."""

from collections.abc import Mapping
from typing import Final

from pipeline.execution.timings import RunTimings

_AT_WORK: Final = 0.5  # workers of a stage, on average: below that it holds nobody up


def bottleneck(timings: RunTimings) -> str | None:
    """Say what most of a run's time went to; None if it made nothing.

    The time from the first part's being taken by an actor to the last one's being made is the
    actors': their working share goes to the stages of their work, their waiting share to reading
    or committing, whichever had more workers busy, or to neither if both were mostly idle. What
    was before is starting, what was after is committing.

    Args:
        timings: What the run did and took.

    Returns:
        One sentence.
    """
    timings = timings.rounded()  # as `summary.json` has them, to say the same of both
    worked_s, waited_s = timings.actor_s.worked_s, timings.actor_s.waited_s
    if not worked_s:
        return None
    busy = worked_s / (worked_s + waited_s)
    work_s = _work(timings)
    making_s = timings.making_s
    workers = _workers(timings)
    cause = max(workers, key=lambda stage: workers[stage])
    if workers[cause] < _AT_WORK:
        cause = "Ray and the driver"
    lost_s = {"starting": timings.startup_s, "committing": timings.finishing_s}
    lost_s |= {stage: making_s * busy * part_s / worked_s for stage, part_s in work_s.items()}
    lost_s[cause] = lost_s.get(cause, 0.0) + making_s * (1 - busy)
    worst = max(lost_s, key=lambda stage: lost_s[stage])
    if worst == "starting":
        return (
            f"Bottleneck: starting: {timings.startup_s:.1f} of {timings.wall_s:.1f} s went by "
            "before an actor took the first part (Ray, actors, checkpoint, first reading)."
        )
    if worst in work_s:
        return _sentence_of_work(worst, busy, {k: v / worked_s for k, v in work_s.items()})
    return (
        f"Bottleneck: {worst}: the actors waited for parts {1 - busy:.0%} of their time, and the "
        f"last commit came {timings.finishing_s:.1f} s after they were done; on average "
        f"{workers['reading']:.1f} readers and {workers['committing']:.1f} committers were at work."
    )


def _work(timings: RunTimings) -> dict[str, float]:
    """Return what the actors' work consists of, in seconds."""
    stages = timings.stage_s
    work_s = {
        "prediction": stages.predict_s,
        "decoding": stages.decode_s,
        "encoding": stages.encode_s,
    }
    rest_s = max(0.0, timings.actor_s.worked_s - sum(work_s.values()))
    return {**work_s, "taking over parts": rest_s}


def _workers(timings: RunTimings) -> dict[str, float]:
    """Return how many readers and committers were at work on average."""
    span_s = timings.making_s + timings.finishing_s
    stages = {"reading": timings.stage_s.read_s, "committing": timings.stage_s.write_s}
    return {stage: seconds / span_s if span_s else 0.0 for stage, seconds in stages.items()}


def _sentence_of_work(worst: str, busy: float, shares: Mapping[str, float]) -> str:
    others = ", ".join(
        f"{stage} {share:.0%}"
        for stage, share in sorted(shares.items(), key=lambda each: -each[1])
        if stage != worst and share >= 0.005  # what rounds to 0 % is left out
    )
    return (
        f"Bottleneck: {worst}: the actors were busy {busy:.0%} of the time, of which {worst} took "
        f"{shares[worst]:.0%}{others and ', '}{others}."
    )
