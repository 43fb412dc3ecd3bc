"""One tiny engine for all recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")

from bag_harness import make_model

from vljepa_ros.model.engine import Engine


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def engine(model: Path) -> Engine:
    return Engine.load(model, device="cpu")
