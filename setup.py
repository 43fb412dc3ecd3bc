"""For pip users of the library without ROS; a ROS 2 workspace is built by CMakeLists.txt.

Installs `vljepa_ros` only: `training`, `examples` and `tests` are run in place.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "vljepa_ros/__init__.py").read_text(), re.MULTILINE
).group(1)


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """The files of a folder, to be installed where `vljepa_ros.paths` looks for them."""
    folders = sorted({p.parent for p in (ROOT / folder).rglob("*") if p.is_file()})
    return [
        (
            f"share/vljepa_ros/{path.relative_to(ROOT)}",
            [str(p.relative_to(ROOT)) for p in sorted(path.iterdir()) if p.is_file()],
        )
        for path in folders
    ]


setup(
    name="vljepa-ros",
    version=VERSION,
    description="VL-JEPA perception: meaning for every frame, words only when it moves",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(
        include=["vljepa_ros", "vljepa_ros.*"], exclude=["vljepa_ros.ros", "vljepa_ros.ros.*"]
    ),
    package_data={"vljepa_ros": ["py.typed"]},
    data_files=shared("models") + shared("msg"),
    install_requires=[
        "numpy>=1.26",
        "opencv-python-headless>=4.8,<5",
        "pyyaml>=6",
        "safetensors>=0.5",
        "tokenizers>=0.22",
        "torch>=2.6",
        "transformers>=5.20",
    ],
    entry_points={
        "console_scripts": ["vljepa = vljepa_ros.cli.main:main"],
        "lmms_eval.models": ["vljepa = vljepa_ros.lmms_plugin:manifest"],
    },
    extras_require={
        "recordings": ["av>=12", "rosbags>=0.11", "tqdm>=4.60"],
        "ray": ["ray[data]>=2.60,<2.64"],
        "mujoco": ["mujoco>=3.17,<4"],
        "lance": ["pylance>=14,<15"],
        "rerun": ["rerun-sdk>=0.41,<0.42"],
        "video": ["av>=12"],
        "lmms": ["lmms-eval>=0.7,<0.8"],
        "mteb": ["mteb>=2.26,<3"],
        "cluster": ["megatron-energon>=7.4,<8"],
        "training": [
            "av>=14",
            "jsonargparse>=4.30",
            "kornia>=0.8",
            "matplotlib>=3.8",
            "pyarrow>=15",
            "rosbags>=0.11",
            "tensorboard>=2.15",
            "tqdm>=4.60",
        ],
    },
)
