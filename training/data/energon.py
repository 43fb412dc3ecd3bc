"""The same batches by megatron-energon, for clusters: shards are read in order, not at random.

`python -m training.data.energon FOLDER` prepares a folder of shards once. Beside `ShardBatches`:
each process reads whole stretches of shards, so shared file systems are not asked for single
samples; what comes next is a saved state, not a function of the step; another number of processes
or workers gives other batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils.data import IterableDataset

try:
    from megatron import energon
    from megatron.energon.flavors import BaseWebdatasetFactory
except ImportError as error:
    raise ImportError(
        "this loader needs megatron-energon: pip install -r requirements/optional/cluster.txt"
    ) from error

from training.data import energon_state
from training.data.batches import Clips, ShardsConfig, described
from training.data.command import on_folder
from training.data.errors import DataError, SampleError
from training.data.samples import EXTENSIONS, MediaSample, from_json
from training.data.shards import shard_paths
from training.data.tally import Tally
from training.data.texts import sample_tensors
from training.stop import end_workers, left_to_the_run
from vljepa_ros.config import ModelConfig
from vljepa_ros.model.text import Tokenizer

META = ".nv-meta"
DATASET = {"__module__": "megatron.energon", "__class__": "CrudeWebdataset"}
BLEND = {"__module__": "megatron.energon", "__class__": "MetadatasetV2"}
ROWS = "rows"
"""Beside the tensors of a batch: which samples its rows are."""
REMEMBERED_PARTS = 1000
SHUFFLE_SAMPLES = 1000
SEQUENCE_SAMPLES = 100
"""Samples that are read one after the other from a shard before another place is gone to."""


def prepare(folder: Path) -> int:
    """Write what energon wants beside the shards; returns the number of shards.

    Raises:
        DataError: no shards.
    """
    names = [path.name for path in shard_paths(folder)]
    (folder / META).mkdir(exist_ok=True)
    (folder / META / "dataset.yaml").write_text(yaml.safe_dump(DATASET))
    split = [("train", 1.0), ("val", 0.0), ("test", 0.0)]
    BaseWebdatasetFactory.prepare_dataset(
        folder, names, split_parts_ratio=split, shuffle_seed=None, workers=1
    )
    return len(names)


@energon.edataclass
class Raw(energon.Sample):  # type: ignore[misc]
    """A sample's members by extension, as they lie in the shard: the shuffle buffer holds these."""

    members: dict[str, bytes]


@energon.edataclass
class Encoded(energon.Sample):  # type: ignore[misc]
    """A sample and its clip, (T, 3, H, W) uint8."""

    asked: MediaSample
    pixels_TCHW: Tensor
    place: str
    """Shard and key."""


@energon.stateless  # type: ignore[untyped-decorator]
def cook(sample: dict[str, Any]) -> Any:
    """What energon read of a shard as `Raw`."""
    members = {name: data for name, data in sample.items() if not name.startswith("__")}
    return Raw(**energon.basic_sample_keys(sample), members=members)


class Encoder(energon.TaskEncoder):  # type: ignore[misc]
    """From the bytes of a sample to the tensors of a batch."""

    decoder = None  # ours decodes
    cookers = (energon.Cooker(cook),)

    def __init__(
        self, config: ShardsConfig, tokenizer: Tokenizer, model: ModelConfig, tally: Tally
    ) -> None:
        self._clips = Clips(config, model)
        self._tokenizer = tokenizer
        self._tally = tally

    # Seeds are restored, so that a sample is augmented in the same way after a resume.
    @energon.stateless(restore_seeds=True)  # type: ignore[untyped-decorator]
    def encode_sample(self, sample: Any) -> Any:
        self._tally.count_drawn()
        try:
            asked, pixels_TCHW = self._read(sample.members)
        except SampleError as error:
            self._tally.skip(_place(sample), str(error))
            raise energon.SkipSample from error
        return Encoded.derive_from(
            sample, asked=asked, pixels_TCHW=pixels_TCHW, place=_place(sample)
        )

    def _read(self, members: dict[str, bytes]) -> tuple[MediaSample, Tensor]:
        extensions = [name for name in members if name in EXTENSIONS]
        if "json" not in members or len(extensions) != 1:
            raise SampleError("needs a .json and one video or image")
        asked = from_json(members["json"])
        [extension] = extensions
        pixels_TCHW = self._clips.read(members[extension], extension, asked)
        return asked, self._clips.augmented(pixels_TCHW, int(torch.randint(2**31, ())))

    @energon.stateless  # type: ignore[untyped-decorator]
    def batch(self, encoded: list[Any]) -> dict[str, Any]:
        batch = {"pixels_BTCHW": torch.stack([sample.pixels_TCHW for sample in encoded])}
        asked = [sample.asked for sample in encoded]
        rows = [described(sample.place, sample.asked) for sample in encoded]
        return batch | sample_tensors(self._tokenizer, asked, self._tally) | {ROWS: rows}


def _place(sample: Any) -> str:
    [source] = sample.__sources__
    return f"{source.shard_name} {sample.__key__}"


class EnergonBatches(IterableDataset[dict[str, Tensor]]):
    """Endless batches of one rank, in the form that `ShardBatches` gives them."""

    loader = "energon"

    def __init__(
        self,
        config: ShardsConfig,
        tokenizer: Tokenizer,
        model: ModelConfig,
        batch_size: int,
        seed: int,
        parts: int = 1,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        shuffle: int = SHUFFLE_SAMPLES,
    ) -> None:
        """
        Args:
            batch_size: rows of all parts together.
            parts: over all ranks.
            workers: processes that decode, for this rank.
            shuffle: samples, not decoded, from which the next one is drawn.

        Raises:
            DataError: sizes that do not fit, a folder that is not prepared, or task shares, which
                energon has not: write each task into a folder of its own.
        """
        if parts % world:
            raise DataError(f"{parts} parts cannot be shared equally among {world} ranks")
        if batch_size < 1 or batch_size % parts:
            raise DataError(f"batch_size {batch_size} cannot be cut into {parts} equal parts")
        if config.task_shares:
            raise DataError(
                "energon mixes folders, not tasks; write each task into a folder of its own and "
                "give that a weight"
            )
        log = Path(config.skipped_log) if config.skipped_log else None
        self.tally = Tally(config.max_skipped_share, log)
        workers_of = energon.WorkerConfig(
            rank=rank,
            world_size=world,
            num_workers=workers,
            seed_offset=seed,
            # Broken samples are skipped by `Encoder`; whatever else goes wrong is our mistake.
            global_error_handler=energon.reraise_exception,
        )
        with tempfile.TemporaryDirectory() as folder:
            dataset = energon.get_train_dataset(
                blend(config, Path(folder)),
                worker_config=workers_of,
                batch_size=batch_size // parts,
                shuffle_buffer_size=shuffle,
                max_samples_per_sequence=SEQUENCE_SAMPLES,
                task_encoder=Encoder(config, tokenizer, model, self.tally),
            )
        self._loader = energon.get_savable_loader(dataset)
        self._loader.worker_init_fn = partial(_begun, self._loader.worker_init_fn)
        self._world = world
        self._given = 0
        self._rows: dict[int, list[dict[str, str]]] = {}

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self._loader:
            self._rows[self._given] = batch.pop(ROWS)
            self._rows.pop(self._given - REMEMBERED_PARTS, None)
            self._given += 1
            yield batch

    def described(self, index: int) -> list[dict[str, str]]:
        """Which samples the rows of part `index` are, counted as `ShardBatches` does; [] if it was
        not among this rank's last ones."""
        return self._rows.get(index // self._world, [])

    def counts(self) -> dict[str, float]:
        """See `Tally.counts`."""
        return self.tally.counts()

    def position(self) -> bytes:
        """What `go_on` needs to go on behind the batch that was read last."""
        return energon_state.to_bytes(self._given, self._loader.save_state_rank())

    def go_on(self, position: bytes) -> None:
        """Go on where `position` was taken: same rank, world, workers and batch size.

        Raises:
            DataError: it is none.
        """
        self._given, state = energon_state.from_bytes(position)
        self._loader.restore_state_rank(state)

    def close(self) -> None:
        """End the processes that decode."""
        end_workers(self._loader._iterator)


def _begun(as_energon_begins: Callable[[int], None], worker: int) -> None:
    left_to_the_run(worker)
    as_energon_begins(worker)


def blend(config: ShardsConfig, folder: Path) -> Path:
    """Write energon's description of the mixture into `folder`.

    Raises:
        DataError: an empty mixture, or a folder that is not prepared.
    """
    if not config.mixture:
        raise DataError("the mixture is empty; name at least one folder of shards")
    check(Path(config.root), config.mixture)
    parts = [
        {"path": str((Path(config.root) / name).resolve()), "weight": weight}
        for name, weight in config.mixture.items()
    ]
    described = folder / "mixture.yaml"
    described.write_text(yaml.safe_dump(BLEND | {"splits": {"train": {"blend": parts}}}))
    return described


def check(root: Path, *mixtures: Mapping[str, float]) -> None:
    """Whether every folder is prepared.

    Raises:
        DataError: one is not.
    """
    for name in dict.fromkeys(name for mixture in mixtures for name in mixture):
        path = (root / name).resolve()
        if not (path / META / "dataset.yaml").exists():
            raise DataError(f"{path} is not prepared; run python -m training.data.energon {path}")


def main(arguments: list[str] | None = None) -> int:
    return on_folder(__doc__, prepare, "shards", arguments)


if __name__ == "__main__":
    raise SystemExit(main())
