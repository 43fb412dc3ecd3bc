"""What can be wrong with data; every message says the mend."""

from __future__ import annotations


class DataError(ValueError):
    """A setting, folder, shard or recording that cannot be used."""


class SampleError(DataError):
    """One sample that cannot be used; others of its shard can."""


class MediaError(SampleError):
    """A video or image that cannot be decoded."""


class SkippedTooManyError(RuntimeError):
    """More samples were skipped than the run allows; the message lists the first of them."""
