"""Figures of chaos: a record for each schedule, which add up over slices, and a table of them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from chaos.schedule import FORMS

Record = dict[str, Any]


def add_record(file: Path, record: Record) -> None:
    """Append a record to a file."""
    with file.open("a") as lines:
        lines.write(f"{json.dumps(record)}\n")


def read_records(file: Path) -> list[Record]:
    """Return the records in a file, the last one of each seed."""
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return list({record["seed"]: record for record in records}.values())


def figures_of(records: Sequence[Record]) -> str:
    """Return a table of some records, for people."""
    codes = Counter(code for record in records for code in record["codes"])
    repeats = Counter(len(record["codes"]) - 1 for record in records)
    lines = [
        "",
        "form    seeds  runs  differences  parts read  broken  seconds a seed",
        *(_line(form, [r for r in records if r["form"] == form]) for form in FORMS),
        f"killed: {_add(r['done'] for r in records)}; too late: {_count(records, 'missed')}",
        f"proxy: {_add(r['proxy_faults'] for r in records)}",
        f"requests through it: {_sum(records, 'requests')}",
        f"exit codes: {dict(codes)}; seeds by repeats needed: {dict(sorted(repeats.items()))}",
        f"left over by killed runs: {_count(records, 'left_over')} processes",
    ]
    return "\n".join(lines) + "\n"


def _line(form: str, records: Sequence[Record]) -> str:
    seconds = _sum(records, "seconds") / max(len(records), 1)
    return (
        f"{form:6}  {len(records):5}  {_count(records, 'codes'):4}  "
        f"{_count(records, 'differences'):11}  {_sum(records, 'reads'):10}  "
        f"{_count(records, 'broken'):6}  {seconds:14.1f}"
    )


def _sum(records: Iterable[Record], name: str) -> float:
    return sum(record[name] for record in records)


def _count(records: Iterable[Record], name: str) -> int:
    return sum(len(record[name]) for record in records)


def _add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter()))
