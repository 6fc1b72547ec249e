"""Exit codes of the command line, where a run's report does not give its own."""

EXIT_WRONG_INPUT = 2
EXIT_INCOMPLETE = 3
EXIT_INTERRUPTED = 130
