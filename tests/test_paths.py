"""The shipped files are found wherever the package lies."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from vljepa_ros import paths

ROOT = Path(__file__).resolve().parent.parent


def loaded_from(folder: Path) -> ModuleType:
    """`paths`, as if the package lay in `folder`."""
    spec = importlib.util.spec_from_file_location("paths_elsewhere", folder / "paths.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put_model(share: Path) -> Path:
    folder = share / "models" / "tabletop"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def no_ros_sourced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)


def test_the_source_tree_serves_itself() -> None:
    assert paths.share() == ROOT


@pytest.mark.parametrize(
    "inside",
    ["lib/python3.12/site-packages", "local/lib/python3.10/dist-packages", "lib64/python3.13/x/y"],
)
def test_an_install_prefix_serves_itself(tmp_path: Path, inside: str) -> None:
    package = tmp_path / inside / "vljepa_ros"
    package.mkdir(parents=True)
    shutil.copy(paths.__file__, package)
    model = put_model(tmp_path / "share" / "vljepa_ros")
    assert loaded_from(package).default_model() == model


def test_a_symlinked_install_without_share_serves_the_source(tmp_path: Path) -> None:
    package = tmp_path / "lib/python3.12/site-packages/vljepa_ros"
    package.mkdir(parents=True)
    (package / "paths.py").symlink_to(paths.__file__)
    assert loaded_from(package).share() == ROOT


def test_the_ament_prefixes_serve_code_that_lies_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "apart" / "vljepa_ros"
    package.mkdir(parents=True)
    shutil.copy(paths.__file__, package)
    model = put_model(tmp_path / "overlay" / "share" / "vljepa_ros")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'empty'}:{tmp_path / 'overlay'}")
    assert loaded_from(package).default_model() == model


def test_nothing_found_says_the_mend(tmp_path: Path) -> None:
    shutil.copy(paths.__file__, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"setup\.bash.*model_path"):
        loaded_from(tmp_path).share()


def test_a_missing_default_model_says_the_mend(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "vljepa_ros"
    package.mkdir(parents=True)
    shutil.copy(paths.__file__, package)
    (tmp_path / "share/vljepa_ros/models").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no default model in .*model_path"):
        loaded_from(package).default_model()
