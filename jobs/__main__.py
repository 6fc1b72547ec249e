"""`python -m jobs`: the command line, as a submitted job starts it."""

import sys


def main() -> None:
    """Run the command line, or say what this machine lacks for it."""
    try:
        from jobs.cli import main as run  # noqa: PLC0415 - what it imports may be lacking

        run()
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: {error}; a node needs what refinenet-batch depends on, see pyproject.toml\n"
        )
        sys.exit(2)  # nothing has begun; what Python would exit with means too many failures


if __name__ == "__main__":
    main()
