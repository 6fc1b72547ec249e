"""`--log-format json`: every line on standard error is a JSON object."""

import json
import logging
import sys
from datetime import UTC, datetime, timedelta

import command
from in_process import invoke
from jobs.display.json_progress import JsonLines


def events(text):
    """Return the lines as objects; each has when, how grave, what."""
    lines = [json.loads(line) for line in text.splitlines()]
    now = datetime.now(UTC)
    for line in lines:
        assert list(line)[:3] == ["time", "level", "event"]
        assert line["time"].endswith("Z")
        assert timedelta() <= now - datetime.fromisoformat(line["time"]) < timedelta(minutes=5)
        assert line["level"] in {"info", "warning", "error"}
    return lines


def test_a_run_tells_its_events_as_json_and_prints_its_result_besides(tiny_job):
    broken = next((tiny_job.root / "images").glob("*.png"))
    broken.write_bytes(broken.read_bytes()[:100])
    tiny_job.spec["tolerance"] = {"failed_images": 1}

    done = command.run("run", tiny_job.write_spec(), "--log-format", "json", "--json", ray=False)

    assert done.returncode == 0, done.stderr
    planned, executing, *committed, finished = events(done.stderr)
    summary = json.loads(done.stdout)
    assert summary == json.loads((tiny_job.output / "summary.json").read_text())
    assert planned["event"] == "planned"
    assert (planned["dataset"], planned["images"], planned["parts"]) == ("pictures", 12, 3)
    assert planned["committed_parts"] == 0
    assert (executing["event"], executing["executor"]) == ("executing", "local")
    assert executing["reason"] == "12 images"
    assert {line["event"] for line in committed} == {"committed"}
    assert {line["part"] for line in committed} == {0, 1, 2}
    statuses = [status for line in committed for status in line["statuses"].items()]
    assert sorted(statuses) == [("ok", 2), ("ok", 4), ("ok", 5), ("undecodable", 1)]
    for line in committed:
        assert sum(line["statuses"].values()) == line["images"]
        assert line["seconds"]["predict_s"] > 0
        assert line["again"] is False
    assert finished["event"] == "finished"
    assert finished["images"] == summary["last_run"]["images"] == {"pictures": 12}
    assert finished["bottleneck"] == summary["last_run"]["bottleneck"]
    assert finished["bottleneck"].startswith("Bottleneck: ")
    assert (finished["complete"], finished["missing_parts"], finished["exit_code"]) == (True, 0, 0)


def test_a_wrong_spec_is_one_json_line_and_exit_code_2(tiny_job):
    tiny_job.dataset["classes"] = ["one"]

    done = invoke("run", tiny_job.write_spec(), "--log-format", "json")

    assert done.exit_code == 2
    [line] = events(done.stderr)
    assert (line["event"], line["level"]) == ("failed", "error")
    assert "1 classes, model.num_classes is 4" in line["message"]
    assert done.stdout == ""


def test_an_unknown_format_is_refused(tiny_job):
    done = invoke("run", tiny_job.write_spec(), "--log-format", "xml")

    assert done.exit_code == 2
    assert "xml" in done.stderr


def test_what_others_write_to_standard_error_comes_out_as_lines_too(capsys):
    with JsonLines() as lines:
        sys.stderr.write("half a ")
        sys.stderr.write("line\nand {another}\n\n")
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": "something is odd"}))
        lines.stopping(60.0)
        lines.isolating(3)
        sys.stderr.write("cut off")
    sys.stderr.write("plain again\n")

    *told, last = capsys.readouterr().err.splitlines()
    half, another, odd, stopping, isolating, cut_off = events("\n".join(told))
    assert (half["event"], half["message"]) == ("message", "half a line")
    assert another["message"] == "and {another}"
    assert odd["message"] == "something is odd"
    assert (stopping["event"], stopping["limit_s"]) == ("stopping", 60.0)
    assert (isolating["event"], isolating["shards"]) == ("isolating", 3)
    assert cut_off["message"] == "cut off"
    assert last == "plain again"
