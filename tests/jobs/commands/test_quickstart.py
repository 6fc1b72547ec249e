"""The command `quickstart`: what it refuses; that it runs is tested in tests/jobs/quickstart."""

from in_process import invoke
from jobs.quickstart.quickstart import prepare


def test_a_number_of_scenes_out_of_bounds_is_refused_and_nothing_is_written(tmp_path):
    for images in (0, 1001):
        done = invoke("quickstart", tmp_path / "quickstart", "--images", images)

        assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_another_number_of_scenes_is_refused_before_anything_runs(tmp_path):
    prepare(tmp_path, 1)

    done = invoke("quickstart", tmp_path, "--images", 2)

    assert done.exit_code == 2
    assert "holds a quickstart of 1 scenes, not 2" in done.stderr
    assert not (tmp_path / "results").exists()
