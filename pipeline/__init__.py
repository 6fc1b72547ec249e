"""Batch segmentation: plan → read → segment → commit → summarize."""

from pipeline.errors import PipelineError
from pipeline.export.export import ExportReport, export
from pipeline.output.verify import VerifyReport, verify
from pipeline.run import plan, run
from pipeline.scores.run_report import RunReport
from pipeline.spec.job_spec import JobSpec

__all__ = [
    "ExportReport",
    "JobSpec",
    "PipelineError",
    "RunReport",
    "VerifyReport",
    "export",
    "plan",
    "run",
    "verify",
]
