"""What a command tells its user when it cannot do its work."""


class CommandError(Exception):
    """The message is one sentence that says the mend."""
