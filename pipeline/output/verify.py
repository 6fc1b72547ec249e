"""The verification of an output: every part file is read, and all are compared with the plan."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.datasets.plan import DatasetPlan, PlannedShard
from pipeline.errors import StorageError
from pipeline.output.check_part import PLANNED_COLUMNS, CheckedPart, PartRules, check_part
from pipeline.output.job_record import read_job
from pipeline.output.output_folder import Output
from pipeline.output.part_name import ShardFiles, group_part_files, part_file_name
from pipeline.output.resume import Committed
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri, join, protocol_of, shown

_THREADS: Final = 4  # each holds one part
_RUN_AGAIN: Final = "run the job again: refinenet-batch run SPEC"
_LIST_AGAIN: Final = (
    "put the plan back as it was; if nobody has a copy, delete what is left of it, "
    f"{_RUN_AGAIN}, which lists the dataset anew, and verify again: parts that no longer fit show"
)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: the file, what about it, and how to mend it."""

    file: str
    problem: str
    remedy: str


@dataclass
class VerifiedDataset:
    """What of a dataset is right.

    Attributes:
        name: Its name.
        parts: Part files that are right.
        rows: Rows in them.
        images: Rows that are images: all but those that stand for what a broken shard has lost.
    """

    name: str
    parts: int = 0
    rows: int = 0
    images: int = 0


@dataclass
class VerifyReport:
    """The result of a verification.

    Attributes:
        output: The output folder, as people type it.
        datasets: What is right of each dataset, in the spec's order.
        findings: What is wrong.
        notes: Files that do no harm, and what they are.
    """

    output: str
    datasets: list[VerifiedDataset] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 3 parts are missing or wrong."""
        return 3 if self.findings else 0

    def to_json(self) -> dict[str, Any]:
        """Return what `verify --json` prints."""
        return {"ok": not self.findings, **asdict(self)}


def verify(output: str) -> VerifyReport:
    """Check every part file of an output, each by itself and all against the frozen plan.

    Nothing is written, and no image or target is read.

    Args:
        output: The output folder, a path or URL. Its `job.json` is read with what the environment
            tells of the storage, all else with the `storage_options` in there.

    Raises:
        OutputError: It is no output of ours.
        StorageError: It may not or cannot be read.
    """
    uri = absolute_uri(output)
    spec, fingerprint = read_job(uri, Storage())
    folder = Output(uri, Storage(spec.storage_options))
    report = VerifyReport(shown(uri))
    for dataset in spec.datasets:
        rules = PartRules(
            fingerprint,
            num_classes=len(dataset.label_set().classes),
            has_targets=dataset.has_targets,
            protocol=spec.inference.protocol,
        )
        check = _DatasetCheck(folder, dataset.name, rules)
        check.run()
        report.datasets.append(check.right)
        report.findings += check.findings
        report.notes += check.notes
    return report


@dataclass(frozen=True)
class _PartFile:
    """A part file: its shard's slug, its name, and its rows in the plan if that lists them."""

    slug: str
    name: str
    planned: pa.Table | None = None


class _DatasetCheck:
    """The check of one dataset's plan and parts.

    Attributes:
        right: What was found to be right.
        findings: What was found to be wrong.
        notes: What was found besides.
    """

    def __init__(self, folder: Output, dataset: str, rules: PartRules) -> None:
        self.storage = folder.storage
        self.masks_uri = folder.masks_uri(dataset)
        self.plan_uri = folder.plan_uri(dataset)
        self.rules = rules
        self.right = VerifiedDataset(dataset)
        self.findings: list[Finding] = []
        self.notes: list[str] = []

    def run(self) -> None:
        names = self.storage.names(self.masks_uri)
        ours = {name: slug for name in names for slug in group_part_files([name])}
        foreign = {*names, *_temporaries(self.masks_uri)} - ours.keys()
        self._note(foreign, "is no part file; it is left alone")
        frozen = self._read_plan()
        if frozen is None:
            self._judge((_PartFile(slug, name) for name, slug in ours.items()), {})
            return
        plan, listing = frozen
        shards = {shard.slug: shard for shard in plan.shards}
        strays = {name for name, slug in ours.items() if not _fits(name, shards.get(slug))}
        committed = Committed(plan, ours.keys() - strays)
        self._note(committed.superseded, "counts no more; the next run deletes it")
        self.notes += [
            f"{shown(name)} is lost or broke off: a row stands for all that could not be read of it"
            for name in committed.broken_shards
        ]
        for name in committed.missing_files():
            self._find(name, "is missing", _RUN_AGAIN)
        for name in sorted(strays):
            self._find(name, "is no part of what is planned", "delete it")
        counting = ours.keys() - strays - set(committed.superseded)
        by_slug = sorted((ours[name], name) for name in counting)
        self._judge(_with_planned_rows(by_slug, shards, listing), shards)

    def _read_plan(self) -> tuple[DatasetPlan, pq.ParquetFile] | None:
        """Return the frozen plan, and its file; None if it is missing or damaged."""
        if not self.storage.exists(self.plan_uri):
            self.findings.append(Finding(shown(self.plan_uri), "is missing", _LIST_AGAIN))
            return None
        data = self.storage.read(self.plan_uri)
        try:
            listing = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            for number in range(listing.num_row_groups):
                listing.read_row_group(number).validate(full=True)
            plan = DatasetPlan.from_parquet(self.right.name, data)
            if _lists_images(plan) and len(plan.shards) != listing.num_row_groups:
                raise ValueError("its row groups are not its shards")  # noqa: TRY301 - one of many
        # Arrow raises some of Python's own errors; all are about these bytes, in memory.
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            problem = f"is damaged: {error}".splitlines()[0]
            self.findings.append(Finding(shown(self.plan_uri), problem, _LIST_AGAIN))
            return None
        return plan, listing

    def _judge(self, files: Iterable[_PartFile], shards: Mapping[str, PlannedShard]) -> None:
        """Check files, those of a shard one after another, and then the shard as a whole."""
        for slug, group in groupby(self._in_threads(files), key=lambda pair: pair[0].slug):
            parts = []
            for file, future in group:
                try:
                    part = future.result()
                except StorageError as error:
                    self._find(file.name, f"cannot be read: {error.reason}", "verify again")
                    continue
                if part.problem is None:
                    parts.append(part)
                else:
                    self._find(file.name, part.problem, f"delete it, then {_RUN_AGAIN}")
            self._judge_shard(slug, parts, shards.get(slug))

    def _judge_shard(
        self, slug: str, parts: Sequence[CheckedPart], shard: PlannedShard | None
    ) -> None:
        """Compare the parts of a shard: no index is in two, nor, if it is finished, in none."""
        self.right.parts += len(parts)
        self.right.rows += sum(part.rows for part in parts)
        self.right.images += sum(part.images for part in parts)
        files = group_part_files(part.file_name for part in parts).get(slug, ShardFiles())
        file = shard.file if shard else None
        due = (file.first_row or 0) if file else 0
        for part in sorted((part for part in parts if part.rows), key=lambda part: part.first):
            problem = None
            if part.first < due:
                problem = f"has rows that other parts have as well, from index {part.first}"
            elif file and files.finished and part.first > due:
                problem = f"begins with index {part.first}, though no part has index {due}"
            if problem:
                remedy = f"delete the shard's parts, {slug}-*.parquet, then {_RUN_AGAIN}"
                self._find(part.file_name, problem, remedy)
                return
            due = part.last + 1

    def _in_threads(
        self, files: Iterable[_PartFile]
    ) -> Iterator[tuple[_PartFile, Future[CheckedPart]]]:
        """Yield each file with its check, in order; few are on their way at a time."""
        waiting: deque[tuple[_PartFile, Future[CheckedPart]]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            for file in files:
                waiting.append((file, pool.submit(self._check, file)))
                if len(waiting) == 2 * _THREADS:
                    yield waiting.popleft()
            yield from waiting

    def _check(self, file: _PartFile) -> CheckedPart:
        data = self.storage.read(join(self.masks_uri, file.name))
        return check_part(data, file.name, self.rules, file.planned)

    def _find(self, name: str, problem: str, remedy: str) -> None:
        self.findings.append(Finding(shown(join(self.masks_uri, name)), problem, remedy))

    def _note(self, names: Iterable[str], what: str) -> None:
        self.notes += [f"{shown(join(self.masks_uri, name))} {what}" for name in sorted(names)]


def _lists_images(plan: DatasetPlan) -> bool:
    return "part" in plan.table.schema.names


def _part_names(shard: PlannedShard) -> list[str]:
    """Return the names of the parts of a shard whose images the plan lists."""
    last = len(shard.part_images or ()) - 1
    return [part_file_name(shard.slug, n, "end" if n == last else "") for n in range(last + 1)]


def _fits(name: str, shard: PlannedShard | None) -> bool:
    """Say whether a shard may have a part of this name."""
    return shard is not None and (shard.part_images is None or name in _part_names(shard))


def _with_planned_rows(
    names: Iterable[tuple[str, str]], shards: Mapping[str, PlannedShard], listing: pq.ParquetFile
) -> Iterator[_PartFile]:
    """Yield part files by slug and name, each with its rows in the plan if that lists them."""
    for slug, group in groupby(names, key=lambda pair: pair[0]):
        shard = shards[slug]
        if shard.part_images is None:
            yield from (_PartFile(slug, name) for _, name in group)
            continue
        rows = listing.read_row_group(shard.row_group, columns=["part", *PLANNED_COLUMNS])
        numbers = {name: number for number, name in enumerate(_part_names(shard))}
        for _, name in group:
            yield _PartFile(slug, name, rows.filter(pc.equal(rows["part"], numbers[name])))


def _temporaries(folder: str) -> list[str]:
    """Return the names of temporary files in a local folder, which listings leave out."""
    if protocol_of(folder) != "file":
        return []
    return [path.name for path in Path(shown(folder)).glob(".*.tmp")]
