"""The promise of the commit protocol, under every order of events that hypothesis can think of.

Runs start, read, commit, die between any two steps and commit late; objects change, vanish and come
back; a broken tar is mended; outputs are refreshed, retried and overwritten, and that breaks off.
Only the network is left out: a part's rows say what was read.
"""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.datasets.make_plan import extend_plan, plan_dataset
from pipeline.errors import StorageError
from pipeline.output.mask_table import MaskRow
from pipeline.output.output_folder import Output
from pipeline.output.part_file import fingerprint_of, part_file
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.committer import Committer
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.image_reader import read_planned_images
from pipeline.stages.receipt import Receipt, SegmentedPart
from pipeline.stages.shard_reader import ShardReader
from pipeline.storage.storage import Storage
from tars import make_tar

PICTURES = 5
IN_TAR = 7


@dataclass
class Run:
    """A run, step by step: what it still reads, and what it has read but not committed."""

    committer: Committer
    parts: Iterator[EncodedPart]
    held: list[EncodedPart] = field(default_factory=list)
    alive: bool = True


class Protocol(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        (self.root / "pictures").mkdir()
        self.number = 0
        for _ in range(PICTURES):
            self.add_picture()
        members = [(f"{n}.png", content(f"tar {n}") * 100) for n in range(IN_TAR)]
        self.whole_tar = make_tar(members)
        self.tar = self.root / "shard.tar"
        self.tar.write_bytes(self.whole_tar[: len(self.whole_tar) // 2])
        self.in_tar = {digest(data) for _, data in members}
        self.scale = 1.0
        self.planned: dict[Path, tuple[bytes, int]] = {}
        self.runs: list[Run] = []

    def teardown(self):
        try:
            self.finish()
        finally:
            shutil.rmtree(self.root)

    @property
    def output(self):
        return Output(f"file://{self.root}/output", Storage())

    @property
    def job(self):
        dataset = {"classes": ["one"], "ignore_index": 255}
        spec = JobSpec.from_mapping(
            {
                "name": "protocol",
                "model": {"checkpoint": "none.pth"},
                "datasets": [
                    {"name": "pictures", "format": "folder", **dataset}
                    | {"images": str(self.root / "pictures" / "*.png")},
                    {"name": "tar", "format": "webdataset", **dataset, "images": str(self.tar)},
                ],
                "output": self.output.uri,
                "part_images": 2,
            }
        )
        return Job(spec, None, 0, {"scale": self.scale})

    @rule(stop_after=st.sampled_from(["", "claim"]), how=st.sampled_from(["", "refresh", "retry"]))
    def start(self, stop_after, how):
        """A run begins, as `pipeline.run` does; it may die before its plan is frozen."""
        job, output = self.job, self.output
        found = output.check(job)
        frozen = found is not None and not found.clearing
        plans = [
            (output.read_plan(each.name) if frozen else None)
            or plan_dataset(each, job.spec, output.storage)
            for each in job.spec.datasets
        ]
        record = output.retry(job) if how == "retry" else output.claim(job)
        if not stop_after:
            self.go_on(job, output, record, plans, how)

    def go_on(self, job, output, record, plans, how=""):
        plans = [output.freeze(plan) for plan in plans]
        if how == "refresh":
            pictures = job.spec.datasets[0]
            known = output.read_plan_table("pictures")
            plans[0] = output.replace_plan(extend_plan(pictures, job.spec, output.storage, known))
        for uri in output.read_plan_table("pictures")["uri"].to_pylist():
            path = Path(uri.removeprefix("file://"))
            if path not in self.planned:
                self.planned[path] = path.read_bytes(), path.stat().st_mtime_ns
        items = output.failed(plans) if how == "retry" else output.missing(plans)
        reader = ShardReader(job.spec, output, output.storage)
        parts = (
            part
            for item in items
            for part in (
                reader.read(job.spec.datasets[1], item, item.file)
                if item.file
                else read_planned_images(item, output, output.storage)
            )
        )
        self.runs.append(Run(Committer(output, record), parts))

    @precondition(lambda self: any(run.alive for run in self.runs))
    @rule(data=st.data(), parts=st.integers(1, 3))
    def read(self, data, parts):
        run = data.draw(st.sampled_from([run for run in self.runs if run.alive]))
        for _ in range(parts):
            try:
                run.held += [part for part in [next(run.parts, None)] if part is not None]
            except StorageError:  # its plan is gone, because it was overtaken
                run.alive = False
                assert self.was_overtaken(run)
                return

    @precondition(lambda self: any(run.held for run in self.runs))
    @rule(data=st.data(), first=st.booleans(), again=st.booleans())
    def commit(self, data, first, again):
        """A part is committed, in any order, perhaps twice, perhaps long after its run has died."""
        run = data.draw(st.sampled_from([run for run in self.runs if run.held]))
        part = run.held[0 if first else -1]
        self.commit_part(run, part)
        if not again:
            run.held.remove(part)

    def commit_part(self, run, part):
        fingerprint = run.committer.record.fingerprint
        file = part_file([row_of(image, part) for image in part.images], part.part, fingerprint)
        receipt = Receipt(part.part, replaces=part.replaces)
        [done] = Receipt.from_table(run.committer(SegmentedPart(receipt, file).to_table()))
        if done.refused:
            run.alive = False
            assert self.was_overtaken(run)

    def was_overtaken(self, run):
        return run.committer.record.generation < self.output.record().generation

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def die(self, data):
        """A driver dies, in the middle of a write; what it has handed out may still be done."""
        run = data.draw(st.sampled_from(self.runs))
        run.alive = False
        folder = Path(self.output.masks_uri("pictures").removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".part-{len(self.runs)}.parquet.0.tmp").write_bytes(b"half")

    @rule()
    def add_picture(self):
        self.number += 1
        path = self.root / "pictures" / f"{self.number:03d}.png"
        path.write_bytes(content(f"picture {self.number}"))

    @precondition(lambda self: self.planned)
    @rule(data=st.data(), how=st.sampled_from(["change", "remove", "restore"]))
    def disturb(self, data, how):
        path = data.draw(st.sampled_from(sorted(self.planned)))
        if how == "change":
            path.write_bytes(content(f"changed {path.name}") * 2)
        elif how == "remove":
            path.unlink(missing_ok=True)
        else:
            self.restore(path)

    def restore(self, path):
        data, modified_ns = self.planned[path]
        path.write_bytes(data)
        os.utime(path, ns=(modified_ns, modified_ns))

    @precondition(lambda self: self.is_known_to_break_off())
    @rule()
    def mend(self):
        """The tar gets its end; before it was found to break off, that would be a change."""
        if self.tar.read_bytes() != self.whole_tar:
            self.tar.write_bytes(self.whole_tar)

    def is_known_to_break_off(self):
        return any(row["status"] == "truncated" for row in self.rows("tar"))

    @precondition(lambda self: self.output.record() is not None)
    @rule(breaks_off_after=st.none() | st.integers(0, 6))
    def overwrite(self, breaks_off_after):
        for path in self.planned:
            self.restore(path)
        self.scale += 1
        self.planned = {}
        job = self.job
        storage = Storage() if breaks_off_after is None else BreakingOff(breaks_off_after)
        output = Output(self.output.uri, storage)
        plans = [plan_dataset(each, job.spec, output.storage) for each in job.spec.datasets]
        try:
            record = output.overwrite(job)
        except BrokenOffError:
            return
        self.go_on(job, self.output, record, plans)

    @invariant()
    def no_row_is_there_twice_and_each_is_right(self):
        wanted = {digest(data) for data, _ in self.planned.values()} | self.in_tar
        for dataset in ("pictures", "tar"):
            rows = self.rows(dataset)
            assert max(Counter((r["shard"], r["index"]) for r in rows).values(), default=1) == 1
            for row in rows:
                assert (row["status"] == "ok") == (row["error"] is None)
                assert row["status"] != "ok" or row["image_sha256"] in wanted

    def rows(self, dataset):
        record, plan = self.output.record(), self.output.read_plan(dataset)
        if plan is None or record.clearing:
            return []
        folder = Path(self.output.masks_uri(dataset).removeprefix("file://"))
        tables = []
        for name in self.output.committed(plan).files:
            file = pq.ParquetFile(folder / name)
            if fingerprint_of(file) == {"scale": self.scale}:
                tables.append(file.read())
        return pa.concat_tables(tables).to_pylist() if tables else []

    def finish(self):
        """With everything as planned, and the tar mended, more runs give every row, and right."""
        for path in self.planned:
            self.restore(path)
        for how in ("", "", "retry"):
            self.start("", how)
            run = self.runs[-1]
            for part in run.parts:
                self.commit_part(run, part)
            assert run.alive
            if self.is_known_to_break_off():
                self.mend()
        shas = Counter(row["image_sha256"] for row in self.rows("pictures"))
        assert shas == Counter(digest(data) for data, _ in self.planned.values())
        in_tar = self.rows("tar")
        assert {row["status"] for row in in_tar} == {"ok"}
        assert Counter(row["image_sha256"] for row in in_tar) == Counter(self.in_tar)
        plans = [self.output.read_plan(each.name) for each in self.job.spec.datasets]
        assert self.output.missing(plans) == []


class BrokenOffError(Exception):
    """The process that was deleting files is gone."""


class BreakingOff(Storage):
    """A storage whose process dies after it has deleted some files."""

    def __init__(self, files):
        super().__init__()
        self.files = files

    def remove(self, uri):
        if self.files == 0:
            raise BrokenOffError
        self.files -= 1
        super().remove(uri)


def row_of(image, part):
    sha256 = digest(image.image) if image.image is not None else None
    return MaskRow(
        part.part.shard,
        image.index,
        image.key,
        image.uri,
        image.target_uri,
        image.status,
        image.error,
        list(image.flags),
        image_sha256=sha256,
    )


def content(text):
    return text.encode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def examples(count):
    return settings(
        max_examples=count,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


TestProtocol = Protocol.TestCase
TestProtocol.settings = examples(20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_protocol_holds_for_many_more():
    run_state_machine_as_test(Protocol, settings=examples(500))
