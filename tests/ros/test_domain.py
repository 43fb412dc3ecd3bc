from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vljepa_ros.ros import domain


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert domain.isolate() is None
    assert os.environ["ROS_DOMAIN_ID"] == "7"
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_each_gets_a_domain_of_its_own_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE")
    taken = set()
    claims = []
    for _ in range(3):
        monkeypatch.setenv("ROS_DOMAIN_ID", "")
        claim = domain.isolate()
        assert claim is not None
        claims.append(claim)
        taken.add(int(os.environ["ROS_DOMAIN_ID"]))
    assert len(taken) == 3
    assert all(0 < number <= 101 for number in taken)
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    for claim in claims:
        claim.close()


def test_another_process_cannot_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "")
    claim = domain.isolate()
    assert claim is not None
    mine = os.environ["ROS_DOMAIN_ID"]
    program = (
        f"import os; os.getpid = lambda: {int(mine) - 1}\n"
        "from vljepa_ros.ros import domain; claim = domain.isolate()\n"
        "print(os.environ['ROS_DOMAIN_ID'])"
    )
    environment = os.environ | {"ROS_DOMAIN_ID": ""}
    other = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    claim.close()
    assert other.stdout.strip() != mine
