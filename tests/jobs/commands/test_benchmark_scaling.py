"""The command `benchmark-scaling`: what cannot be measured is refused before Ray is started."""

import pytest

from in_process import invoke


@pytest.mark.parametrize(
    "options",
    [["--actors", 0], ["--sleep-ms", 0], ["--images", 0], ["--part-images", 0]],
)
def test_a_number_out_of_bounds_ends_with_exit_code_2(options):
    done = invoke("benchmark-scaling", *options)

    assert done.exit_code == 2
    assert options[0] in done.stderr
    assert done.stdout == ""
