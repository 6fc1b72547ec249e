"""From masks to other tools' formats."""
