"""A ROS domain of one's own: tools that start nodes neither hear nor disturb other robots."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

DOMAINS = 102
"""Domain ids 0 to 101 are usable on every platform."""


class DomainError(RuntimeError):
    """No domain is free."""


def isolate() -> IO[str] | None:
    """Give this process and its children a domain that no other tool of ours on this machine uses.

    What the user has set stays: ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE. Call before
    rclpy.init.

    Returns:
        The locked file that holds the claim, to be kept until the nodes have ended; None when
        the user chose the domain.

    Raises:
        DomainError: all are taken.
    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if os.environ.get("ROS_DOMAIN_ID"):
        return None
    folder = Path(tempfile.gettempdir(), "vljepa_ros_domains")
    folder.mkdir(mode=0o777, exist_ok=True)
    for attempt in range(DOMAINS - 1):
        domain = 1 + (os.getpid() + attempt) % (DOMAINS - 1)  # 0 is where everybody else is
        try:
            claim = (folder / f"{domain}.lock").open("a")
        except PermissionError:  # another user's
            continue
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            continue
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        return claim
    raise DomainError("all ROS domains of this machine are taken: set ROS_DOMAIN_ID yourself")
