"""The names of the files in an output folder."""

from collections.abc import Sequence
from typing import Final

from pipeline.output.part_name import Part

JOB_FILE: Final = "job.json"
RESULT_FILES: Final = ("summary.json", "summary.parquet", "report.html", "comparison.html")
"""Files of an output folder that are made of its mask tables."""


def plan_file(dataset: str) -> str:
    """Return the path of a dataset's frozen plan."""
    return f"plan/{dataset}.parquet"


def masks_folder(dataset: str) -> str:
    """Return the path of the folder of a dataset's part files."""
    return f"masks/dataset={dataset}"


def confusion_file(dataset: str) -> str:
    """Return the path of the file of a dataset's confusion matrix."""
    return f"confusion-{dataset}.csv"


def output_files(datasets: Sequence[str]) -> list[str]:
    """Return the paths of the files that a job writes; of part files, one for each dataset."""
    of_datasets = [
        path
        for name in datasets
        for path in (
            plan_file(name),
            f"{masks_folder(name)}/{Part(name, 'shard', 0, 0, 'end').file_name}",
            confusion_file(name),
        )
    ]
    return [JOB_FILE, *RESULT_FILES, *of_datasets]
