"""Batch segmentation: plan → read → segment → commit → summarize."""

from pipeline.errors import PipelineError
from pipeline.report import RunReport
from pipeline.run import plan, run
from pipeline.spec import JobSpec

__all__ = ["JobSpec", "PipelineError", "RunReport", "plan", "run"]
