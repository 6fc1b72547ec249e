"""Batch segmentation: plan → read → segment → commit → summarize."""

from pipeline.errors import PipelineError
from pipeline.export import ExportReport, export
from pipeline.report import RunReport
from pipeline.run import plan, run
from pipeline.spec.job_spec import JobSpec
from pipeline.verification import VerifyReport, verify

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
