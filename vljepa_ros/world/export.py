"""What one robot or many have seen, as one Lance dataset: for search and training off the robot.

All that is known of packages `lance` and `pyarrow` is in this file. One row for each entry. The
space of the embeddings is named in the dataset's metadata, since only vectors of one space can be
compared. A dataset grows by what it does not hold yet, so exporting again is harmless.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_ros.types import Pose
from vljepa_ros.world.record import Noted, Record, Source

VERSIONS = ">=14,<15"
FORMAT = b"1"
FORMAT_KEY, SPACE_KEY = b"vljepa_ros.format", b"vljepa_ros.space_id"
KEY = ("run", "camera", "entry", "stamp")
"""What makes a row the same as one that is there: entries of a record are numbered anew when all
were forgotten, and two robots may begin in the same nanosecond."""


class ExportError(Exception):
    """A dataset that cannot be written; the message says the mend."""


@dataclass(frozen=True)
class Exported:
    """What one export did."""

    added: int
    """Rows."""
    known: int
    """Entries that the dataset held already."""
    rows: int
    """In the dataset now."""


def space_of(store: Path, wanted: str = "") -> str:
    """The space whose entries are to be exported.

    Args:
        wanted: its name; empty where the store holds those of one space only.

    Raises:
        MemoryStoreError: the store cannot be opened, or is damaged.
        ExportError: it holds no entries of that space, or of several to choose from.
    """
    with closing(Record(store, read_only=True)) as record:
        sources = record.sources()
        counts: dict[str, int] = {}
        for _, source, *_ in record.embeddings():
            space_id = sources[source].space_id
            counts[space_id] = counts.get(space_id, 0) + 1
    listed = ", ".join(f"{space_id} ({count} entries)" for space_id, count in counts.items())
    if not counts:
        raise ExportError(f"{store} holds no entries: nothing was seen yet")
    if wanted and wanted not in counts:
        raise ExportError(f"{store} holds no entries of space {wanted}; it has {listed}")
    if not wanted and len(counts) > 1:
        raise ExportError(
            f"{store} holds entries of several models, which cannot be compared; choose with "
            f"--space, each into a dataset of its own: {listed}"
        )
    return wanted or next(iter(counts))


def export(store: Path, dataset: Path, space_id: str) -> Exported:
    """Add a store's entries of one space to a dataset, which is made if it is not there.

    A dataset that is made appears when it is complete; one that is there grows by all of them or
    none. The store is only read; a node may go on writing to it.

    Raises:
        MemoryStoreError: the store cannot be opened, or is damaged.
        ExportError: the dataset is none of ours, is of another space, or cannot be written; or a
            package is missing.
    """
    lance = _require_lance()
    with closing(Record(store, read_only=True)) as record:
        sources = {i: s for i, s in record.sources().items() if s.space_id == space_id}
        batches = (some for some in record.entries(list(sources)) if some)
        first = next(batches, None)
        if first is None:
            raise ExportError(f"{store} holds no entries of space {space_id}")
        schema = _schema(space_id, len(first[0].half_E))
        tally = _Tally()
        reader = tally.reader(schema, chain([first], batches), sources, store.name)
        if dataset.exists():
            return _append(lance, reader, dataset, schema, tally)
        return _create(lance, reader, dataset, tally)


def _create(lance: Any, reader: Any, dataset: Path, tally: _Tally) -> Exported:
    with _writing(dataset):
        dataset.parent.mkdir(parents=True, exist_ok=True)
        marked = tempfile.mkdtemp(".partial", f"{dataset.name}.", dataset.parent)
        try:
            partial = Path(marked, dataset.name)
            lance.write_dataset(reader, str(partial), mode="create")
            partial.rename(dataset)
        finally:
            shutil.rmtree(marked, ignore_errors=True)
    return Exported(tally.entries, 0, tally.entries)


def _append(lance: Any, reader: Any, dataset: Path, schema: Any, tally: _Tally) -> Exported:
    there: Any = None
    with _writing(dataset):
        if dataset.is_dir():
            there = lance.dataset(str(dataset))
    _check(there, dataset, schema)
    with _writing(dataset):
        done = there.merge_insert(list(KEY)).when_not_matched_insert_all().execute(reader)
        added = int(done["num_inserted_rows"])
        return Exported(added, tally.entries - added, there.count_rows())


def _check(there: Any, dataset: Path, schema: Any) -> None:
    known = (there.schema.metadata or {}) if there is not None else {}
    if SPACE_KEY not in known:
        raise ExportError(f"{dataset} is no dataset of ours; name another one")
    if known.get(FORMAT_KEY) != FORMAT:
        raise ExportError(
            f"{dataset} was written by another version of vljepa_ros (format "
            f"{known.get(FORMAT_KEY, b'none').decode()}, this one writes {FORMAT.decode()}); name "
            "another dataset"
        )
    if known[SPACE_KEY] != schema.metadata[SPACE_KEY]:
        raise ExportError(
            f"{dataset} holds embeddings of space {known[SPACE_KEY].decode()}, the store's are of "
            f"{schema.metadata[SPACE_KEY].decode()}, and only those of one space can be compared; "
            "name another dataset"
        )


# --- rows --------------------------------------------------------------------------------------


def _schema(space_id: str, width: int) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("stamp", pa.timestamp("ns", tz="UTC")),
            ("camera", pa.string()),
            ("caption", pa.string()),
            ("query", pa.string()),
            ("embedding", pa.list_(pa.float16(), width)),
            ("pose_frame", pa.string()),
            ("position_m", pa.list_(pa.float64(), 3)),
            ("orientation_xyzw", pa.list_(pa.float64(), 4)),
            ("state_id", pa.int64()),
            ("is_event", pa.bool_()),
            ("written", pa.timestamp("s", tz="UTC")),
            ("store", pa.string()),
            ("run", pa.int64()),
            ("entry", pa.int64()),
        ],
        metadata={FORMAT_KEY: FORMAT, SPACE_KEY: space_id.encode()},
    )


class _Tally:
    """Counts the entries that a reader hands out."""

    def __init__(self) -> None:
        self.entries = 0

    def reader(
        self,
        schema: Any,
        batches: Iterator[Sequence[Noted]],
        sources: dict[int, Source],
        store: str,
    ) -> Any:
        """A RecordBatchReader of the entries."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(
            schema, (self._batch(schema, some, sources, store) for some in batches)
        )

    def _batch(
        self, schema: Any, some: Sequence[Noted], sources: dict[int, Source], store: str
    ) -> Any:
        import pyarrow as pa

        self.entries += len(some)
        of = [sources[noted.source] for noted in some]
        poses = [noted.pose for noted in some]
        embedding_NE = np.stack([noted.half_E for noted in some])
        columns = {
            "stamp": [noted.stamp_ns for noted in some],
            "camera": [source.camera for source in of],
            "caption": [noted.caption for noted in some],
            "query": [source.query for source in of],
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(embedding_NE.reshape(-1)), embedding_NE.shape[1]
            ),
            **_placed(poses),
            "state_id": [noted.state_id for noted in some],
            "is_event": [noted.is_event for noted in some],
            "written": [noted.written_s for noted in some],
            "store": [store] * len(some),
            "run": [source.run for source in of],
            "entry": [noted.id for noted in some],
        }
        arrays = [
            pa.array(columns[field.name], field.type)
            if isinstance(columns[field.name], list)
            else columns[field.name]
            for field in schema
        ]
        return pa.record_batch(arrays, schema=schema)


def _placed(poses: Sequence[Pose | None]) -> dict[str, list[Any]]:
    return {
        "pose_frame": [pose and pose.frame_id for pose in poses],
        "position_m": [pose and list(pose.position_m) for pose in poses],
        "orientation_xyzw": [pose and list(pose.orientation_xyzw) for pose in poses],
    }


# --- Lance -------------------------------------------------------------------------------------


def _require_lance() -> Any:
    try:
        import lance
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"this needs the package pylance ({error}); pip install 'pylance{VERSIONS}', or this "
            "package with its extra lance: pip install '.[lance]'"
        ) from error
    return lance


@contextmanager
def _writing(dataset: Path) -> Iterator[None]:
    """What Lance and the libraries below it raise, as one sentence."""
    try:
        yield
    except Exception as error:  # of many kinds, full disks too
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ExportError(
            f"{dataset} cannot be written: {said}; is it a Lance dataset, writable, and the disk "
            "not full? Otherwise name another one"
        ) from error
