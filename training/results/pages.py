"""Tables of files of results, put into the pages between their marks.

A page has a table between `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from training.results import learner_tables, model_tables
from training.results.figures import Figures, Files, NotMeasuredError, markdown
from training.results.registry import RESULTS, Result
from vljepa_ros.config import ConfigError

MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
PAGES = ("RESULTS.md", "results/README.md")


def provenance(files: Files) -> str:
    """One row a file: command, date, seed, commit, weights and machine."""
    rows = []
    for result in RESULTS:
        if result.name in files:
            named = [f"`{result.name}.json`"]
            if (files.folder / f"{result.name}.png").exists():
                named.append(f"`{result.name}.png`")
            rows.append([", ".join(named), *_origin(result, files[result.name])])
    return markdown(["file", "command", "date", "seed", "commit", "weights", "machine"], rows)


def _origin(result: Result, said: Figures) -> list[str]:
    machine, command = said["machine"], f"`{said['command']}`"
    return [
        f"{command} of runs by `{result.trained_by}`" if result.runs else command,
        said["date"][:10],
        _seed(said),
        ", ".join(f"`{one[:7]}`" for one in said.get("trained_at", [said["commit"]])),
        f"`{said['sha256'][:12]}`" if said.get("sha256") else "–",
        f"{machine['cores']} × {machine['cpu']}",
    ]


def _seed(said: Figures) -> str:
    """Of the streams, and of training where it was trained for this."""
    words = [f"{said['seed']:,}"] if "seed" in said else []
    words += [f"runs {', '.join(map(str, said['seeds']))}"] if "seeds" in said else []
    return "; ".join(words) or "–"


TABLES: Mapping[str, Callable[[Files], str]] = {
    "learners": learner_tables.learners,
    "learners_seen": learner_tables.learners_seen,
    "claims": learner_tables.claims,
    "beside": learner_tables.beside,
    "costs": learner_tables.costs,
    "ablations": learner_tables.ablations,
    "x_encoders": learner_tables.x_encoders,
    "selective": model_tables.selective,
    "selective_curve": model_tables.selective_curve,
    "selective_beside": model_tables.selective_beside,
    "world": model_tables.world,
    "looks": model_tables.looks,
    "provenance": provenance,
}


def filled(page: str, files: Files, say: Callable[[str], None] = print) -> str:
    """The page with each of its tables written anew; one whose results are missing stays.

    Raises:
        ConfigError: a mark names no table.
    """

    def written(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        if name not in TABLES:
            raise ConfigError(f"no table {name!r}; use one of {', '.join(TABLES)}")
        try:
            return f"{begin}\n{TABLES[name](files)}\n\n{end}"
        except NotMeasuredError as error:
            say(f"table {name} stays as it is: {error}")
            return found.group()

    return MARKED.sub(written, page)


def fill(docs: Path) -> None:
    """Write all tables of the pages below `docs` from the files in `docs/results`."""
    files = Files(docs / "results")
    for name in PAGES:
        page = docs / name
        page.write_text(filled(page.read_text(), files))
