"""Every table and plot again: `python -m training.results`, or `make results`.

Measures the results that training/results/registry.py lists, those of the running nodes last, and
writes the tables of docs/RESULTS.md. What needs runs of training that are not there is left as it
is, and said. It takes hours; `--only` takes some. `--quick` does all that it can at toy size in
minutes, in a folder of its own, the pages among it: what that prints means nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from jsonargparse import auto_cli

from training.results import pages
from training.results.measure import measure, run
from training.results.registry import RESULTS, Result
from vljepa_ros.config import ConfigError

DOCS = Path(os.path.relpath(Path(__file__).resolve().parents[2] / "docs"))
"""As seen from here: files of results name it in their commands."""


def regenerate(docs: Path, only: list[str], quick: bool) -> None:
    """Measure what can be measured here, and write the pages.

    Raises:
        ConfigError: some could not be measured; the others were, and stand in the pages.
    """
    failed = []
    for result in _chosen(only):
        if quick and result.quick is None:
            continue
        missing = result.missing()
        if missing:
            print(f"{result.name}: left as it is: {missing}", flush=True)
            continue
        try:
            measure(result, docs / "results", quick)
        except ConfigError as error:
            failed.append(str(error))
            print(failed[-1], flush=True)
    pages.fill(docs)
    if failed:
        raise ConfigError("not measured: " + "; ".join(failed))


def _chosen(only: list[str]) -> list[Result]:
    """
    Raises:
        ConfigError: there is no such result.
    """
    names = {result.name: result for result in RESULTS}
    unknown = [name for name in only if name not in names]
    if unknown:
        raise ConfigError(f"no result {unknown[0]!r}; use some of {', '.join(names)}")
    return [names[name] for name in only or names]


def main(
    only: list[str] | None = None, quick: bool = False, tables: bool = False, out: str = ""
) -> None:
    """Measure and write.

    Args:
        only: names of results; none = all.
        quick: at toy size, in `out`.
        tables: measure nothing, write the tables of what there is.
        out: folder of a quick run; empty = one that is deleted afterwards.
    """
    try:
        if tables:
            pages.fill(DOCS)
        elif quick:
            with tempfile.TemporaryDirectory() as temporary:
                _quick(Path(out or temporary), only or [])
        else:
            regenerate(DOCS, only or [], quick=False)
    except ConfigError as error:
        sys.exit(f"training.results: {error}")


def _quick(folder: Path, only: list[str]) -> None:
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for page in pages.PAGES:
        shutil.copyfile(DOCS / page, folder / page)
    if not only or any(result.runs and result.name in only for result in RESULTS):
        run(("training.compare", "quick", "--out", str(folder / "results")))
    regenerate(folder, only, quick=True)
    print((folder / pages.PAGES[0]).read_text())


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
