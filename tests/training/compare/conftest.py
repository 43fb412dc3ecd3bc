"""One toy comparison for all tests of this folder; those that use it are slow."""

from __future__ import annotations

import pytest
from toy_comparison import Toy, toy_comparison


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return toy_comparison(tmp_path_factory.mktemp("toy"))


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    for item in items:
        if "toy" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
