"""The product's command in this process: what is typed, printed and returned, without a start."""

from typer.testing import CliRunner

from jobs.cli import app


def invoke(*arguments):
    """Run the command; the result has `exit_code`, `stdout` and `stderr`.

    A run uses the Ray of this process, which the fixture `ray_session` starts once for all tests.
    """
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
