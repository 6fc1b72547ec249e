"""Jobs on a cluster, submitted, watched, stopped and joined: a real head that asks for a token."""

import http.server
import json
import re
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import command
from ray_head import NODE_VARIABLE, RayHead, running_ray_head
from tiny_job import TinyJob

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("jobs", "pipeline", "refinenet_core")
ODD_NAME = 'it\'s a $(touch gone) & "spec".yaml'
SECRETS = {"AWS_SECRET_ACCESS_KEY": "marked-secret-7f3a", "MADE_UP_VARIABLE": "marked-secret-91bc"}
_TIMEOUT_S = 120


@pytest.fixture(scope="module")
def head():
    """A head that all tests share; the last of them kills it."""
    with pytest.MonkeyPatch.context() as patch:
        # What a user has not set: an earlier test's Ray in this process may have.
        for name in ("RAY_AUTH_MODE", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            patch.delenv(name, raising=False)
        with running_ray_head() as running:
            yield running


@pytest.fixture
def job(tmp_path, checkpoint):
    """A job that takes long enough to be disturbed."""
    job = TinyJob.make(tmp_path / "job", checkpoint, images=60)
    job.spec["part_images"] = 2
    job.spec["inference"]["scales"] = [1.0, 2.0, 3.0]
    return job


def run(head, *arguments, **environment):
    """Run a command, let in by the head, to its end."""
    return command.run(*arguments, environment={**head.environment, **environment})


def submit(head, spec, *options):
    """Submit a job and return at once; return its id."""
    submitted = run(head, "submit", spec, "--address", head.job_server, "--no-wait", *options)
    assert submitted.returncode == 0, submitted.stderr
    return job_id(submitted.stderr)


def job_id(stderr):
    return re.search(r"submitted as job (\S+)", stderr)[1]


def parts(job) -> dict[str, int]:
    """Return the committed parts with the time when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in job.output.glob("masks/*/[!.]*.parquet")}


def wait_until(condition):
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def supervisor_log(head, job):
    """Return what the process says that Ray runs a job under."""
    return next(head.folder.rglob(f"supervisor-{job}.log")).read_text()


@dataclass
class Finished:
    """A job that was submitted from a copy of the code, and the same run on this machine."""

    head: RayHead
    id: str
    submitted: subprocess.CompletedProcess
    output: Path
    imports: set[str]
    here: subprocess.CompletedProcess
    output_here: Path


@pytest.fixture(scope="module")
def finished(head, tmp_path_factory, checkpoint):
    root = tmp_path_factory.mktemp("finished")
    job = TinyJob.make(root / "job", checkpoint)
    spec = job.write_spec().rename(root / ODD_NAME)
    environment = {**SECRETS, "PYTHONPATH": str(copy_code(root))}
    options = ("--address", head.job_server, "--require-env", NODE_VARIABLE)
    submitted = run(head, "submit", spec, *options, **environment)
    output = job.output
    job.spec["output"] += "-here"
    return Finished(
        head,
        job_id(submitted.stderr),
        submitted,
        output,
        {path.read_text() for path in (root / "imports").iterdir()},
        command.run("run", job.write_spec(), ray=False),
        job.output,
    )


def copy_code(root):
    """Copy the packages, in which each process that imports the committer now leaves a note."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, root / "code" / name)
    (root / "imports").mkdir()
    with (root / "code" / "pipeline" / "stages" / "committer.py").open("a") as file:
        file.write(
            "\nimport os as _os, pathlib as _pathlib\n"
            f"_pathlib.Path({str(root / 'imports')!r}, str(_os.getpid())).write_text(__file__)\n"
        )
    return root / "code"


def test_a_submitted_job_shows_its_progress_and_ends_as_the_same_run_here(finished):
    submitted, here = finished.submitted, finished.here

    assert submitted.returncode == here.returncode == 0, submitted.stderr + here.stderr
    assert "pictures: 12 images in 3 parts" in submitted.stdout
    assert "12/12 images" in submitted.stdout
    assert f"job {finished.id}: SUCCEEDED" in submitted.stdout
    assert "must reach these local paths" in submitted.stderr
    ours, theirs = files(finished.output), files(finished.output_here)
    assert len(ours) == 3
    assert ours == theirs
    assert summary(finished.output) == summary(finished.output_here)


def files(output) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("masks/*/*.parquet")}


def summary(output):
    return json.loads((output / "summary.json").read_text())["datasets"]


def test_the_code_that_was_uploaded_is_what_runs(finished):
    """Not the installed one, which the head's Python would find as well."""
    unpacked = finished.head.folder / "ray"
    on_head = {path for path in finished.imports if Path(path).is_relative_to(unpacked)}

    assert finished.submitted.returncode == 0
    assert len(on_head) == 1
    assert len(finished.imports) == 2  # the other one is of the command that submitted it
    assert not any(Path(path).is_relative_to(ROOT) for path in finished.imports)


def test_nothing_of_the_submitters_environment_is_found_in_what_the_job_left(finished, tmp_path):
    left = dict(everything_left(finished, tmp_path))

    found = [where for where, data in left.items() for s in SECRETS.values() if s.encode() in data]

    assert found == []
    # The search does look: at the server's answers, at logs, at the packed code, at the results.
    progress = [where for where, data in left.items() if b"pictures: 12 images in 3 parts" in data]
    assert f"/api/jobs/{finished.id}/logs" in progress
    assert any(where.endswith(f"job-driver-{finished.id}.log") for where in progress)
    assert any(re.search(r"store/.*!spec.yaml$", where) for where in left)
    assert any(where.endswith("job.json") for where in left)
    assert any(
        b"RAY_JOB_STOP_WAIT_TIME_S" in data for where, data in left.items() if "api" in where
    )


def everything_left(finished, folder) -> Iterator[tuple[str, bytes]]:
    """Yield what server, head, its store and the output hold, with what is packed in it."""
    for path in ("/api/jobs/", f"/api/jobs/{finished.id}", f"/api/jobs/{finished.id}/logs"):
        yield path, finished.head.get(path)
    (folder / "store").mkdir()
    finished.head.dump_store(folder / "store")
    for place in (finished.head.folder, finished.output, folder / "store"):
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes()
                if zipfile.is_zipfile(path):
                    with zipfile.ZipFile(path) as package:
                        for name in package.namelist():
                            yield f"{path}!{name}", package.read(name)


def test_status_and_logs_tell_of_a_job_that_has_ended(finished):
    head, id_ = finished.head, finished.id

    # Without --address as Ray does it; with it, it is not overridden.
    status = run(head, "status", id_, "--json", RAY_ADDRESS=head.job_server)
    logs = run(head, "logs", id_, "--address", head.job_server, RAY_ADDRESS="http://127.0.0.1:9")
    follow = run(
        head, "logs", id_, "--address", head.job_server.removeprefix("http://"), "--follow"
    )

    assert status.returncode == logs.returncode == follow.returncode == 0, status.stderr
    state = json.loads(status.stdout)
    assert (state["job"], state["status"], state["exit_code"]) == (id_, "SUCCEEDED", 0)
    assert logs.stderr == follow.stderr == ""
    assert "12/12 images" in logs.stdout
    assert (
        follow.stdout
        == f"{logs.stdout}job {id_}: SUCCEEDED since {state['started']} until {state['ended']}\n"
    )


class NoRay(http.server.BaseHTTPRequestHandler):
    """A server of another kind."""

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def other_server():
    with http.server.HTTPServer(("127.0.0.1", 0), NoRay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_wrong_address_token_or_id_is_said(head, other_server, tmp_path):
    cases = {
        ("http://127.0.0.1:9", "{}"): "http://127.0.0.1:9: the job server cannot be reached",
        (other_server, "{}"): "is no job server of Ray",
        (head.job_server, '{"RAY_AUTH_TOKEN": "wrong"}'): "the job server refuses the token",
        (head.job_server, f'{{"RAY_AUTH_TOKEN": "", "HOME": "{tmp_path}"}}'): "got no token",
        (head.job_server, "{}"): "knows no job 'raysubmit_of_nobody'",
    }

    for (address, environment), said in cases.items():
        ended = run(
            head, "status", "raysubmit_of_nobody", "--address", address, **json.loads(environment)
        )

        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1


def test_the_token_may_lie_in_the_users_home(finished, tmp_path):
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(finished.head.token)
    environment = {"HOME": str(tmp_path)}

    status = command.run(
        "status", finished.id, "--address", finished.head.job_server, environment=environment
    )

    assert status.returncode == 0, status.stderr


def test_a_variable_that_is_not_set_on_the_nodes_ends_a_job_before_any_work(head, job):
    options = ("--address", head.job_server, "--require-env", NODE_VARIABLE, "--require-env")

    # It is set here, which is not where it is needed.
    ended = run(head, "submit", job.write_spec(), *options, "MISSING_THERE", MISSING_THERE="here")

    assert ended.returncode == 2, ended.stderr
    assert re.search(r"MISSING_THERE is not set on node \S+ \(\w+\); set it there", ended.stdout)
    assert NODE_VARIABLE + " is not" not in ended.stdout
    assert not job.output.exists()


def test_a_job_that_is_stopped_is_resumed_by_the_same_command_from_which_one_may_detach(head, job):
    spec = job.write_spec()
    first = submit(head, spec)
    wait_until(lambda: len(parts(job)) >= 2)

    stopped = run(head, "stop", first, "--address", head.job_server)

    left = parts(job)
    log = head.get(f"/api/jobs/{first}/logs").decode()
    assert stopped.returncode == 0, stopped.stderr
    assert f"job {first}: STOPPED" in stopped.stdout
    assert "interrupted; the same command goes on where this one stopped" in log
    assert "has been terminated gracefully with SIGTERM" in supervisor_log(head, first)
    assert 2 <= len(left) < 30

    arguments = ("submit", spec, "--address", head.job_server)
    process = command.start(*arguments, environment=head.environment)
    wait_until(lambda: len(parts(job)) > len(left))
    process.send_signal(signal.SIGINT)
    shown, said = process.communicate(timeout=_TIMEOUT_S)

    again = job_id(said)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "committed already" in shown
    assert f"refinenet-batch logs {again} --address {head.job_server} --follow" in said
    assert json.loads(head.get(f"/api/jobs/{again}"))["status"] == "RUNNING"

    followed = run(head, "logs", again, "--address", head.job_server, "--follow")

    assert followed.returncode == 0, followed.stderr
    assert f"job {again}: SUCCEEDED" in followed.stdout
    after = parts(job)
    assert {name: after[name] for name in left} == left
    assert len({row["key"] for row in job.rows()}) == len(job.rows()) == 60


def test_a_run_joins_a_cluster_and_gives_the_same_tables(finished, tmp_path):
    spec = finished.output.parent / "spec.yaml"
    text = spec.read_text().replace(str(finished.output_here), str(tmp_path / "joined"))
    (tmp_path / "spec.yaml").write_text(text)
    head = finished.head

    joined = run(head, "run", tmp_path / "spec.yaml", "--address", head.address)

    assert joined.returncode == 0, joined.stderr
    assert files(tmp_path / "joined") == files(finished.output_here)
    drivers = [job for job in json.loads(head.get("/api/jobs/")) if job["type"] == "DRIVER"]
    assert [str(tmp_path / "spec.yaml") in driver["entrypoint"] for driver in drivers] == [True]
    assert drivers[0]["runtime_env"]["working_dir"].startswith("gcs://")
    assert "env_vars" not in drivers[0]["runtime_env"]


def test_a_cluster_that_cannot_be_joined_is_said(head, job):
    spec = job.write_spec()
    cases = {
        ("127.0.0.1:9", ""): "127.0.0.1:9: nothing answers there",
        (head.job_server, ""): "is the address of a server, which a run cannot join",
        ("head", ""): "is no address of a cluster",
        (head.address, "wrong"): "refuses the token",
    }

    for (address, token), said in cases.items():
        environment = {"RAY_AUTH_TOKEN": token} if token else {}
        ended = run(head, "run", spec, "--address", address, **environment)

        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1
    assert not job.output.exists()


def test_a_job_server_that_goes_away_ends_the_command_with_3(head, job):
    """Keep it the last: it kills the head."""
    arguments = ("submit", job.write_spec(), "--address", head.job_server)
    process = command.start(*arguments, environment=head.environment)
    wait_until(lambda: len(parts(job)) >= 1)

    head.kill()
    _, said = process.communicate(timeout=_TIMEOUT_S)

    assert process.returncode == 3, said
    assert f"{head.job_server}: the job server cannot be reached" in said
    assert "the job may go on. To look again: refinenet-batch logs raysubmit_" in said
    assert "Traceback" not in said
