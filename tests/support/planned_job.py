"""A job whose plan is frozen and of which nothing is made: for tests of what reads it."""

from pipeline.datasets.make_plan import plan_dataset
from pipeline.output.output_folder import Output
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage


def planned_job(root, **dataset):
    """Plan a job of one data set in parts of two images; return spec, output and work items."""
    spec = JobSpec.from_mapping(
        {
            "name": "planned",
            "model": {"checkpoint": "none.pth"},
            "datasets": [{"name": "d", "classes": ["a", "b"], **dataset}],
            "output": str(root / "output"),
            "part_images": 2,
        }
    )
    output = Output(spec.output, Storage())
    plan = output.freeze(plan_dataset(spec.datasets[0], spec, output.storage))
    return spec, output, output.missing([plan])
