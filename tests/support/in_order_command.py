"""The product's command, whose runs drive their stages in its own process instead of on Ray."""

from jobs.cli import main
from stages_in_order import runs_in_this_process

if __name__ == "__main__":
    with runs_in_this_process():
        main()
