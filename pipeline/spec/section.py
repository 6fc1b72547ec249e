"""What all sections of a job spec share: unknown fields are errors, locations are absolute.

What stands below a field in a section's class is its description: `docs/job-spec.md` shows it.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.storage.uris import absolute_uri, fault_of, protocol_of


class Section(BaseModel):
    """A section of a spec: immutable, and an unknown field is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True
    )


def _reachable(uri: str) -> str:
    uri = absolute_uri(uri)
    if protocol_of(uri) == "memory":
        raise ValueError("memory:// is private to one process; give storage all workers can reach")
    if fault := fault_of(uri):
        raise ValueError(f"{fault}; give the location on its own storage")
    return uri


Uri = Annotated[str, Field(min_length=1), AfterValidator(_reachable)]
