"""How many requests a run makes of an object store: what `docs/scaling.md` reckons with."""

from collections import Counter
from urllib.parse import urlsplit

import pytest

import command
from chaos.faulty_proxy import FaultyProxy
from tars import make_tar
from tiny_job import TinyJob

_IMAGES, _PARTS = 12, 3


@pytest.fixture
def proxy(s3, monkeypatch):
    with FaultyProxy(s3.endpoint_url, seed=0, rate=0) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint_url)
        yield proxy


@pytest.fixture
def job(tmp_path, checkpoint, request):
    job = TinyJob.make(tmp_path / "job", checkpoint, images=_IMAGES)
    job.spec["part_images"] = _IMAGES // _PARTS
    job.spec["output"] = f"s3://results/{request.node.name}"
    return job


def requests(proxy, job):
    """Run a job; return how often which method was used on which kind of object."""
    done = command.run("run", job.write_spec(), ray=False)
    assert done.returncode == 0, done.stderr
    assert proxy.errors == []
    return Counter((method, kind(urlsplit(path).path)) for method, path in proxy.seen)


def kind(path):
    """Return what an object is by its path."""
    if path.rstrip("/") in ("/results", "/shards"):
        return "listing"
    for name in ("masks", "images", "targets", "tars", "plan", "job.json"):
        if f"/{name}" in path:
            return name
    return "result"


def test_a_folder_takes_two_requests_for_each_object_and_few_for_each_part(proxy, job, s3):
    for folder in ("images", "targets"):
        names = [path.name for path in (job.root / folder).iterdir()]
        s3.upload(job.root / folder, f"shards/requests/{folder}", names)
    job.dataset["images"] = "s3://shards/requests/images/*.png"
    job.dataset["targets"] = "s3://shards/requests/targets/{stem}.png"

    made = requests(proxy, job)

    for folder in ("images", "targets"):
        assert made["HEAD", folder] == _IMAGES
        assert made["GET", folder] <= 2 * _IMAGES  # those that the report shows once more
    check_parts(made)


def test_a_tar_takes_a_request_for_each_block(proxy, job, s3):
    members = [
        (f"{path.stem}.{ending}", path.read_bytes())
        for image in sorted((job.root / "images").iterdir())
        for path, ending in (
            (image, "png"),
            (job.root / "targets" / image.name, "seg.png"),
        )
    ]
    (job.root / "one.tar").write_bytes(make_tar(members))
    s3.upload(job.root, "shards/requests/tars", ["one.tar"])
    job.dataset.update(
        format="webdataset", images="s3://shards/requests/tars/*.tar", members={"target": "seg.png"}
    )
    job.dataset.pop("targets")

    made = requests(proxy, job)

    assert made["HEAD", "tars"] <= 3
    assert made["GET", "tars"] <= 1 + 2  # the report's pictures: targets stand in the tar
    check_parts(made)


def check_parts(made):
    """Check what each part takes, and nothing more does: a thousand parts take no more listings."""
    print(sorted(made.items()))  # noqa: T201 - the figures of docs/scaling.md
    assert made["PUT", "masks"] == _PARTS
    assert made["HEAD", "masks"] <= 3 * _PARTS  # is it there already; summary; the report's rows
    assert made["GET", "masks"] <= 2 * _PARTS
    assert made["GET", "job.json"] <= _PARTS + 3  # before each commit, and by the run
    assert made["GET", "listing"] <= _PARTS + 9  # after each "is it there already": a folder?
    assert made["PUT", "result"] == 4
