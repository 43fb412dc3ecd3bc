"""The command `vljepa`: thin commands over the library, no ROS running."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vljepa_ros.cli import doctor, export, replay, report, search, tune
from vljepa_ros.cli.errors import CommandError

COMMANDS = {
    "doctor": doctor,
    "export": export,
    "replay": replay,
    "report": report,
    "search": search,
    "tune": tune,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code of the process."""
    parser = argparse.ArgumentParser(prog="vljepa", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").strip().splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=module.__doc__))
    given = parser.parse_args(arguments)
    try:
        COMMANDS[given.command].run(given)
    except CommandError as error:
        print(f"vljepa {given.command}: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
