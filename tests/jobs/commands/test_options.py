"""Options that commands share: sizes, and a spec of its first images."""

import pytest
import typer

from jobs.commands.options import image_size, load_spec


def test_a_size_is_width_by_height():
    assert image_size("640x480") == (640, 480)


@pytest.mark.parametrize("text", ["", "640", "640x", "x480", "0x480", "-1x5", "640X480", "6.4x4"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(typer.BadParameter, match="write WIDTHxHEIGHT, for example 512x512"):
        image_size(text)


def test_a_limit_makes_a_job_of_its_own(tiny_job):
    path = tiny_job.write_spec()

    whole, limited = load_spec(path, None), load_spec(path, 5)

    assert (whole.limit_images, limited.limit_images) == (None, 5)
    assert limited.output == f"{whole.output}-limit5"
