"""Environment of all tests: few threads, no network, a ROS domain of their own."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

DOMAINS = 102
"""ROS domain ids 0 to 101 are usable on every platform."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def claim_ros_domain() -> IO[str]:
    """Puts a domain id that no other test process on this machine uses into the environment.

    Returns the locked file that holds the claim; it is given up when this process ends.
    """
    folder = Path(tempfile.gettempdir(), "vljepa_ros_domains")
    folder.mkdir(exist_ok=True)
    for attempt in range(DOMAINS - 1):
        # 0 is where everybody else is.
        domain = 1 + (os.getpid() + attempt) % (DOMAINS - 1)
        claim = (folder / f"{domain}.lock").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            continue
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        return claim
    raise RuntimeError("101 test processes hold all ROS domains of this machine: end some")


# Before torch or rclpy is imported. Children inherit all of it; each xdist worker claims its own.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ.setdefault("ROS_LOG_DIR", str(Path(tempfile.gettempdir(), "vljepa_ros_test_logs")))
CLAIM = claim_ros_domain()
# A shell without job control starts what runs in the background deaf to SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def signals_are_left_as_they_were() -> Iterator[None]:
    """A program's main that a test calls hears signals from then on; no other test is to."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
