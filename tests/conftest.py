"""What all tests share: where a test stands says what it is, and nothing depends on how quick the machine is."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile("default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", settings.get_profile("default"), max_examples=5_000)
settings.register_profile("unshrunk", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("default")

_TESTS = Path(__file__).parent
_MARKERS = {_TESTS / "system": pytest.mark.system, _TESTS / "faults": pytest.mark.faults}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start processes or break disks carry their marker by the directory they are in."""
    for item in items:
        for directory, marker in _MARKERS.items():
            if item.path.is_relative_to(directory):
                item.add_marker(marker)
