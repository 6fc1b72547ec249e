"""Results made again: failed images retried, whole outputs overwritten, and runs that come late."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from pipeline import PipelineError, run
from pipeline.datasets.make_plan import plan_dataset
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.output_folder import Output
from pipeline.storage.storage import Storage

pytestmark = pytest.mark.usefixtures("without_ray")


@pytest.fixture
def with_a_gap(tmp_path, tiny_job):
    """A job that was run while one of its planned images was away, and the way to put it back."""
    image = tiny_job.root / "images" / "picture-03.png"
    away = tmp_path / "away.png"
    whole = tiny_job.validated()
    output = Output(whole.output, Storage())
    job = prepare_job(whole, Storage())
    output.claim(job)
    output.freeze(plan_dataset(job.spec.datasets[0], job.spec, Storage()))
    image.rename(away)
    run(whole)
    assert [row["status"] for row in tiny_job.rows()].count("unreadable") == 1
    return tiny_job, lambda: away.rename(image)


def test_failed_images_are_made_again_and_other_parts_stay(with_a_gap):
    job, put_back = with_a_gap
    before = files(job)
    plain = run(job.validated())
    put_back()

    report = run(job.validated(), retry_failed=True)

    after = files(job)
    assert plain.datasets[0].failed == 1, "without being asked nothing is made again"
    assert report.datasets[0].failed == 0
    assert report.timings.images == {"pictures": 5}
    assert sum(before[name] != after[name] for name in before) == 1
    assert before.keys() == after.keys()
    assert json.loads((job.output / "job.json").read_text())["generation"] == 2


def test_no_good_row_is_lost_to_a_retry(with_a_gap):
    job, _ = with_a_gap
    before = files(job)
    (job.root / "images" / "picture-01.png").unlink()  # in the same part

    report = run(job.validated(), retry_failed=True)

    assert files(job) == before
    assert report.datasets[0].ok == 11


def test_overwriting_deletes_our_own_files_and_no_others(tiny_job):
    run(tiny_job.validated())
    foreign = tiny_job.output / "masks" / "dataset=pictures" / "notes.parquet"
    foreign.write_bytes(b"mine")
    (tiny_job.output / "notes.txt").write_text("mine")
    before = files(tiny_job)
    tiny_job.spec["inference"]["scales"] = [0.5]
    tiny_job.spec["part_images"] = 12
    with pytest.raises(PipelineError, match="--overwrite deletes what is there"):
        run(tiny_job.validated())

    report = run(tiny_job.validated(), overwrite=True)

    assert report.complete
    assert report.timings.images == {"pictures": 12}
    assert before.keys() - files(tiny_job).keys()
    foreign_left = foreign.read_bytes()
    foreign.unlink()
    assert foreign_left == b"mine"
    assert (tiny_job.output / "notes.txt").read_text() == "mine"
    assert len(tiny_job.rows()) == 12
    assert json.loads((tiny_job.output / "job.json").read_text())["generation"] == 2


def test_an_overwriting_that_broke_off_is_done_by_the_next_run(tiny_job):
    run(tiny_job.validated())
    tiny_job.spec["inference"]["scales"] = [0.5]
    shutil.rmtree(tiny_job.output / "plan")  # as far as it got
    output = Output(tiny_job.validated().output, Storage())
    job = prepare_job(tiny_job.validated(), Storage())
    record = output.record().overwritten(job)
    output.storage.write(output.job_uri, record.render(job))

    report = run(tiny_job.validated())

    assert report.complete
    assert report.timings.images == {"pictures": 12}
    scales = [identity(path)["fingerprint"]["scales"] for path in parts(tiny_job)]
    assert scales == [[0.5]] * 3


def test_what_is_no_output_of_ours_is_not_overwritten(tiny_job):
    tiny_job.output.mkdir()
    (tiny_job.output / "job.json").write_text('{"name": "of another program"}')
    before = files(tiny_job)

    with pytest.raises(PipelineError, match=r"is not a job\.json of refinenet-batch"):
        run(tiny_job.validated(), overwrite=True)

    assert files(tiny_job) == before


def test_a_part_of_another_job_under_a_name_of_ours_is_not_counted_and_made_again(tiny_job):
    mine = tiny_job.validated()
    run(mine)
    expected = files(tiny_job)
    tiny_job.spec["inference"]["scales"] = [0.5]
    tiny_job.spec["output"] += "-of-another"
    run(tiny_job.validated())
    stranger = parts(tiny_job)[0]
    tiny_job.spec["output"] = str(tiny_job.root / "output")
    shutil.copy(stranger, tiny_job.output / "masks" / "dataset=pictures")

    found = run(mine)
    mended = run(mine)

    assert found.missing_parts == [stranger.name]
    assert found.exit_code == 3
    assert found.datasets[0].counts.images == 12 - 5
    assert mended.exit_code == 0
    assert files(tiny_job) == expected


def parts(job):
    return sorted(job.output.glob("masks/*/*.parquet"))


def files(job):
    return {path.name: path.read_bytes() for path in parts(job)}


def identity(path):
    return json.loads(pq.read_schema(path).metadata[b"refinenet_batch"])
