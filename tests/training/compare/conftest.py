"""One toy comparison for all tests of this folder."""

from __future__ import annotations

import pytest
from toy_comparison import Toy, toy_comparison


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return toy_comparison(tmp_path_factory.mktemp("toy"))
