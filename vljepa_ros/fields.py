"""What the fields of a message can hold: times in two integers, texts that DDS can carry.

Shared by the two that build messages: the nodes (`ros/conversions.py`) and what is written without
ROS (`recordings/messages.py`).
"""

from __future__ import annotations

NS_PER_S = 1_000_000_000
_MAX_SECONDS = 2**31 - 1


def seconds_and_ns(length_ns: int) -> tuple[int, int]:
    """`sec` and `nanosec` of a time or duration, limited to what int32 seconds can say."""
    seconds, nanoseconds = divmod(int(length_ns), NS_PER_S)
    return max(-_MAX_SECONDS - 1, min(_MAX_SECONDS, seconds)), nanoseconds


def text_field(text: str) -> str:
    """The text as DDS can carry it: NUL would end it, a lone surrogate would abort the publish."""
    return str(text).replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")
