"""Fixtures that several folders of tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the project; a test that needs it skips without it."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not on this machine")
    return SHARED
