"""The command `submit`: what is refused before a cluster is asked for anything."""

import command
from in_process import invoke
from tiny_job import TinyJob

NOBODY = "http://127.0.0.1:9"  # nothing listens there


def test_a_value_is_not_taken_for_a_variables_name(tmp_path, checkpoint):
    spec = TinyJob.make(tmp_path, checkpoint).write_spec()

    for arguments in (("submit", "--address", "http://127.0.0.1:9"), ("run",)):
        ended = command.run(*arguments, spec, "--require-env", "PASSWORD=hidden")

        assert ended.returncode == 2
        assert "'PASSWORD' comes with a value, which must not be given" in ended.stderr
        assert "hidden" not in ended.stderr


def test_a_wrong_spec_is_not_submitted(tiny_job):
    tiny_job.spec["tolerence"] = {}

    done = invoke("submit", tiny_job.write_spec(), "--address", NOBODY)

    assert done.exit_code == 2
    assert "tolerence: unknown field" in done.stderr
    assert "reach these local paths" not in done.stderr


def test_a_share_that_is_none_is_refused(tiny_job):
    done = invoke("submit", tiny_job.write_spec(), "--address", NOBODY, "--share", "3/2")

    assert done.exit_code == 2
    assert "'3/2' is none; write K/N" in done.stderr


def test_local_paths_are_named_since_every_node_must_reach_them(tiny_job):
    done = invoke("submit", tiny_job.write_spec(), "--address", NOBODY, "--share", "3/2")

    [line] = [line for line in done.stderr.splitlines() if "reach these local paths" in line]
    for path in (tiny_job.dataset["images"], tiny_job.output, tiny_job.spec["model"]["checkpoint"]):
        assert str(path) in line
