"""Write shards from a source: `python -m training.data.write SOURCE ... --out FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.data.errors import DataError
from training.data.skips import Skips
from training.data.sources import folder, lerobot, rosbag, tabletop
from training.data.writer import SHARD_BYTES, write_shards

SOURCES = {"tabletop": tabletop, "folder": folder, "lerobot": lerobot, "rosbag": rosbag}
MIB = 1024 * 1024
INTERRUPTED = 130
"""Exit code after Ctrl-C, as the shell counts it."""


def main(arguments: list[str] | None = None) -> int:
    """Write the shards; returns the exit code of the process."""
    parser = argparse.ArgumentParser(prog="training.data.write", description=__doc__)
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    for name, module in SOURCES.items():
        summary = (module.__doc__ or "").strip().splitlines()[0]
        source = sources.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(source)
        source.add_argument("--out", type=Path, required=True, help="new folder of the shards")
        source.add_argument("--shard-mib", type=float, default=SHARD_BYTES / MIB)
        source.add_argument(
            "--max-skipped", type=int, default=0, help="bad samples that are left out (default 0)"
        )
    given = parser.parse_args(arguments)
    try:
        skips = Skips(given.max_skipped)
        drafts = SOURCES[given.source].run(given, skips)
        samples = write_shards(drafts, given.out, int(given.shard_mib * MIB))
    except DataError as error:
        print(f"{given.source}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        whole = len(list(given.out.glob("*.tar")))
        print(
            f"{given.source}: interrupted; {given.out} keeps {whole} whole shards, and nothing "
            "half written. Write into a new folder to have all",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"{given.out}: {samples} samples, {len(skips.named)} skipped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
