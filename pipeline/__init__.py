"""Batch segmentation: plan → read → segment → commit → summarize."""

from pipeline.errors import PipelineError
from pipeline.report import RunReport
from pipeline.run import plan, run
from pipeline.spec import JobSpec
from pipeline.verification import VerifyReport, verify

__all__ = ["JobSpec", "PipelineError", "RunReport", "VerifyReport", "plan", "run", "verify"]
