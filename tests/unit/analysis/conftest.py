"""What the tests of the analysis share: one compiler cache, and a look at findings by code."""

import pytest

from argyll.scripts import Scripts


@pytest.fixture(scope="session")
def scripts() -> Scripts:
    return Scripts()
