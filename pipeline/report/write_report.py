"""Writing a run's report: the summary for programs, and the page for people."""

from collections.abc import Sequence

from pipeline.datasets.plan import DatasetPlan
from pipeline.output.output_folder import Output
from pipeline.output.output_names import confusion_file
from pipeline.report.write_summary import confusion_csv, summary_json, summary_parquet
from pipeline.scores.load_run import PastRun
from pipeline.scores.run_report import RunReport
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.uris import join


def write_report(
    report: RunReport, spec: JobSpec, plans: Sequence[DatasetPlan], output: Output
) -> None:
    """Write `confusion-<dataset>.csv` for each dataset, `summary.parquet`, `summary.json`.

    And `report.html`, the last: it needs the images, which may be many and far.
    """
    # Matplotlib takes half a second to import, which other commands need not spend.
    from pipeline.report.report_page import render_report  # noqa: PLC0415

    for dataset in report.datasets:
        if dataset.scores:
            uri = join(output.uri, confusion_file(dataset.name))
            output.storage.write(uri, confusion_csv(dataset))
    output.storage.write(join(output.uri, "summary.parquet"), summary_parquet(report))
    output.storage.write(join(output.uri, "summary.json"), summary_json(report))
    page = render_report(report, spec, plans, output)
    output.storage.write(join(output.uri, "report.html"), page)


def remake_report(output: str) -> RunReport:
    """Write the summary and the page of an output again, from its mask tables.

    Args:
        output: The output folder, a path or URL.

    Raises:
        OutputError: It is no output of ours, or is damaged.
        StorageError: It cannot be read or written.
    """
    past = PastRun.read(output)
    report = past.report()
    write_report(report, past.spec, past.plans, past.output)
    return report
