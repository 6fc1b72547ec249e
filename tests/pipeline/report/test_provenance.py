"""The provenance of results: what `job.json` says of them."""

import json

import pytest
import yaml

from pipeline.errors import StorageError
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.output_folder import Output
from pipeline.report.provenance import read_provenance
from pipeline.spec.fingerprint import digest_of
from pipeline.storage.storage import Storage


@pytest.fixture
def output(tiny_job):
    spec = tiny_job.validated()
    output = Output(spec.output, Storage())
    output.claim(prepare_job(spec, Storage()))
    return output


def test_checkpoint_fingerprint_and_versions_are_told(output, tiny_job, checkpoint):
    found = read_provenance(output)

    facts = dict(found.facts)
    content = json.loads((tiny_job.output / "job.json").read_text())
    assert facts["checkpoint"] == str(checkpoint)
    assert facts["checkpoint SHA-256"] == content["checkpoint"]["sha256"]
    assert facts["fingerprint SHA-256"] == digest_of(content["fingerprint"])
    assert facts["generation"] == "1"
    assert facts["torch"] == content["versions"]["torch"]
    assert yaml.safe_load(found.spec) == content["spec"]


def test_a_job_without_a_checkpoint_has_no_facts_of_one(output, tiny_job):
    path = tiny_job.output / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "checkpoint": None}))

    names = [name for name, _ in read_provenance(output).facts]

    assert names[0] == "fingerprint SHA-256"


def test_an_output_without_a_record_cannot_be_read(tmp_path):
    with pytest.raises((StorageError, FileNotFoundError), match=r"job\.json"):
        read_provenance(Output(tmp_path.as_uri(), Storage()))
