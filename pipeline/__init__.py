"""Batch segmentation: plan → read → segment → commit → summarize."""

from pipeline.errors import PipelineError
from pipeline.run import plan, run
from pipeline.spec import JobSpec
from pipeline.summary import RunReport

__all__ = ["JobSpec", "PipelineError", "RunReport", "plan", "run"]
