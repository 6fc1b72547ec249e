"""The table of the networks, as a terminal shows it."""

from rich.console import Console

from jobs.display.network_tables import models_table
from refinenet_core import model_cost


def test_a_networks_costs_stand_in_a_row():
    console = Console(width=100)
    with console.capture() as captured:
        console.print(models_table([model_cost("refinenet_lw50", 512, 512)], 512, 512))

    title, *_, row = captured.get().strip().splitlines()
    assert title.startswith("One image of 512x512")
    assert row.split() == ["refinenet_lw50", "ResNet", "27.358", "64.0", "149", "4"]
