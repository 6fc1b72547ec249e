"""The names of the files in an output folder."""

from pipeline.output.output_names import (
    JOB_FILE,
    RESULT_FILES,
    confusion_file,
    masks_folder,
    output_files,
    plan_file,
)
from pipeline.output.part_name import is_part_file


def test_all_files_of_a_job_are_told_and_each_name_once():
    names = output_files(["a", "b"])

    assert {JOB_FILE, *RESULT_FILES} < set(names)
    for dataset in ("a", "b"):
        assert {plan_file(dataset), confusion_file(dataset)} < set(names)
    assert len(set(names)) == len(names) == 1 + len(RESULT_FILES) + 2 * 3


def test_part_files_lie_in_a_folder_that_query_engines_take_for_a_partition():
    [part] = [name for name in output_files(["a"]) if name.startswith("masks/")]

    folder, _, name = part.rpartition("/")
    assert folder == masks_folder("a") == "masks/dataset=a"
    assert is_part_file(name)
