"""The commit of parts: once, whole, and by the run that the folder belongs to alone."""

from dataclasses import replace

import pytest

from pipeline.execution.prepare_job import prepare_job
from pipeline.output.mask_table import MaskRow
from pipeline.output.output_folder import Output
from pipeline.output.part_file import part_file
from pipeline.output.part_name import Part
from pipeline.stages.committer import Committer
from pipeline.stages.receipt import Receipt, SegmentedPart
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri


def test_a_writer_of_an_older_generation_changes_nothing(tmp_path, tiny_job):
    job = prepare_job(tiny_job.validated(), Storage())
    output = Output(absolute_uri(str(tmp_path / "output")), Storage())
    record = output.claim(job)
    part = Part("pictures", "shard", 0, 1, "end")
    output.retry(job)

    receipts = [
        Receipt.from_table(Committer(output, of)(segmented(part)))[0]
        for of in (record, replace(record, generation=2))
    ]

    assert "was taken over by a run with --overwrite or --retry-failed" in receipts[0].refused
    assert receipts[1].refused is None
    assert output.storage.names(output.masks_uri("pictures")) == [part.file_name]


def test_a_part_that_is_there_is_never_replaced(tmp_path, tiny_job):
    job = prepare_job(tiny_job.validated(), Storage())
    output = Output(absolute_uri(str(tmp_path / "output")), Storage())
    committer = Committer(output, output.claim(job))
    part = Part("pictures", "shard", 0, 1, "end")

    for content in (b"first", b"second"):
        committer(segmented(part, content))

    assert output.storage.read(output.part_uri(part)) == b"first"


def segmented(part, content=b"part"):
    return SegmentedPart(Receipt(part), content).to_table()


def test_a_part_at_which_a_shard_broke_off_is_replaced(committer):
    part = Part("pictures", "shard", 0, 1, "cut")

    for content in (b"first", b"second"):
        committer(segmented(part, content))

    assert committer.output.storage.read(committer.output.part_uri(part)) == b"second"


@pytest.mark.parametrize(
    ("before", "again", "replaced"),
    [(("ok", "failed"), ("ok", "ok"), True), (("ok", "failed"), ("failed", "ok"), False)],
)
def test_a_part_made_again_replaces_the_one_before_if_no_good_row_is_lost(
    committer, before, again, replaced
):
    part = Part("pictures", "shard", 0, 2, "end")
    first, second = (file_of(part, statuses) for statuses in (before, again))
    committer(segmented(part, first))

    committer(SegmentedPart(Receipt(part, replaces=True), second).to_table())

    there = committer.output.storage.read(committer.output.part_uri(part))
    assert there == (second if replaced else first)


@pytest.fixture
def committer(tmp_path, tiny_job):
    output = Output(absolute_uri(str(tmp_path / "output")), Storage())
    return Committer(output, output.claim(prepare_job(tiny_job.validated(), Storage())))


def file_of(part, statuses):
    """Return a part's file whose rows have these statuses."""
    rows = [
        MaskRow(part.shard, index, "k", "u", None, status=status)
        for index, status in enumerate(statuses)
    ]
    return part_file(rows, part, {})
