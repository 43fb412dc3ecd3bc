"""What can be wrong with a recording, and the one package that reads them."""

from __future__ import annotations

from importlib import import_module


class RecordingError(Exception):
    """A recording that cannot be read or written; the message is a sentence that says the mend."""


def require_rosbags() -> None:
    """Say now what an import in the midst of the work would say worse.

    Raises:
        RecordingError: the package is missing.
    """
    try:
        import_module("rosbags.rosbag2")
    except ImportError as error:
        raise RecordingError(
            f"recordings need the package rosbags ({error}); pip install 'rosbags>=0.11'"
        ) from error
