"""The provenance of results: what ran, as the output's `job.json` tells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.output.output_folder import Output
from pipeline.spec.fingerprint import digest_of
from pipeline.storage.uris import shown


@dataclass(frozen=True)
class Provenance:
    """What ran.

    Attributes:
        facts: Names and values: checkpoint, fingerprint, generation, versions.
        spec: The resolved spec as YAML.
    """

    facts: Sequence[tuple[str, str]]
    spec: str


def read_provenance(output: Output) -> Provenance:
    """Read what made an output.

    Raises:
        StorageError: Its `job.json` cannot be read.
    """
    content = json.loads(output.storage.read(output.job_uri))
    facts = [*_checkpoint_facts(content["checkpoint"])]
    facts.append(("fingerprint SHA-256", digest_of(content["fingerprint"])))
    facts.append(("generation", str(content["generation"])))
    facts += [(name, str(version)) for name, version in content["versions"].items()]
    spec = yaml.safe_dump(content["spec"], sort_keys=False, allow_unicode=True, width=100)
    return Provenance(facts, spec)


def _checkpoint_facts(checkpoint: Any) -> list[tuple[str, str]]:
    if checkpoint is None:
        return []
    return [
        ("checkpoint", shown(checkpoint["uri"])),
        ("checkpoint SHA-256", str(checkpoint["sha256"])),
    ]
