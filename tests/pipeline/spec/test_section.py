"""What all sections of a spec share: no unknown fields, and locations that workers reach."""

import pytest
from pydantic import ValidationError

from pipeline.spec.section import Section, Uri


class Place(Section):
    location: Uri


def test_a_plain_path_is_made_absolute_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert Place(location="below/a.png").location == f"file://{tmp_path}/below/a.png"
    assert Place(location="s3://bucket/a.png").location == "s3://bucket/a.png"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "at least 1 character"),
        ("memory://x", "memory:// is private to one process"),
        ("simplecache::s3://bucket/x", "give the location on its own storage"),
    ],
)
def test_a_location_that_workers_cannot_reach_is_refused(location, message):
    with pytest.raises(ValidationError, match=message):
        Place(location=location)


def test_a_section_takes_no_unknown_field_and_stays_as_it_is():
    place = Place(location="/x")

    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Place(location="/x", size=1)
    with pytest.raises(ValidationError, match="frozen"):
        place.location = "/y"
