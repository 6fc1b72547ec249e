"""The fold of part files: the same in one process and in several."""

import dataclasses
import os

import pytest

from mask_tables import FINGERPRINT, write_mask_table
from pipeline.errors import OutputError
from pipeline.scores.merge_counts import PartFiles
from pipeline.storage.storage import Storage

CLASSES = 7


@pytest.fixture
def files(tmp_path):
    write_mask_table(tmp_path, "d", shards=3, parts=4, part_images=5, num_classes=CLASSES)
    folder = tmp_path / "masks/dataset=d"
    names = sorted(path.name for path in folder.iterdir())
    return PartFiles(f"file://{folder}", names, Storage(), FINGERPRINT, CLASSES)


def content(fold):
    marks = fold.highlights
    return (
        fold.counts.images,
        fold.counts.confusion.tolist(),
        fold.counts.mean_confidence,
        fold.counts.image_mious.tolist(),
        repr((marks.worst, marks.best, marks.uncertain, marks.certain, marks.typical())),
        sorted(fold.foreign),
    )


def test_several_processes_add_up_what_one_does(files):
    here, shared = files.fold(processes=1), files.fold(processes=3)

    assert here.counts.images == 60
    assert here.counts.confusion.sum() > 0
    assert content(shared) == content(here)


def test_files_of_another_job_are_named_and_not_counted(files):
    other = dataclasses.replace(files, fingerprint={**FINGERPRINT, "model": "another"})

    fold = other.fold(processes=2)

    assert fold.counts.images == 0
    assert sorted(fold.foreign) == list(files.names)


def test_a_damaged_file_is_named_from_whichever_process(files, tmp_path):
    damaged = files.names[5]
    path = tmp_path / "masks/dataset=d" / damaged
    os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(OutputError, match=damaged):
        files.fold(processes=2)


def test_an_object_store_is_read_the_same(files, s3, tmp_path):
    s3.upload(tmp_path / "masks/dataset=d", "results/folded", list(files.names))
    there = dataclasses.replace(files, folder="s3://results/folded")

    here = content(files.fold(processes=1))

    assert [content(there.fold(processes=number)) for number in (1, 2)] == [here, here]
