"""The command line: `refinenet-batch`, put together from its commands."""

import typer

from jobs.commands.benchmark import benchmark_command
from jobs.commands.benchmark_scaling import benchmark_scaling_command
from jobs.commands.checkpoint import convert_command, inspect_command
from jobs.commands.evaluate import evaluate_command
from jobs.commands.export import export_command
from jobs.commands.models import models_command
from jobs.commands.pack import pack_command
from jobs.commands.plan import plan_command
from jobs.commands.quickstart import quickstart_command
from jobs.commands.report import report_command
from jobs.commands.run import run_command
from jobs.commands.submit import logs_command, status_command, stop_command, submit_command
from jobs.commands.verify import verify_command

app = typer.Typer(
    name="refinenet-batch",
    help="Batch semantic segmentation: RefineNet over image shards, on a laptop or a Ray cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command)
app.command("evaluate")(evaluate_command)
app.command("plan")(plan_command)
app.command("verify")(verify_command)
app.command("report")(report_command)
app.command("export")(export_command)
app.command("pack")(pack_command)
app.command("quickstart")(quickstart_command)
app.command("models")(models_command)
app.command("benchmark")(benchmark_command)
app.command("benchmark-scaling")(benchmark_scaling_command)

checkpoint_app = typer.Typer(help="Look at weights files and convert them.", no_args_is_help=True)
checkpoint_app.command("inspect")(inspect_command)
checkpoint_app.command("convert")(convert_command)
app.add_typer(checkpoint_app, name="checkpoint")

cluster_app = typer.Typer()
cluster_app.command("submit")(submit_command)
cluster_app.command("status")(status_command)
cluster_app.command("logs")(logs_command)
cluster_app.command("stop")(stop_command)
app.add_typer(cluster_app)  # behind `checkpoint` in the list of commands


def main() -> None:
    """Run the command line."""
    app()
