"""Real little videos, images and shards for tests."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from training.data.samples import MediaSample
from training.data.shards import read_index, read_sample, shard_paths
from training.data.writer import Draft, write_shards

LEVELS = tuple(range(4, 252, 8))
"""Far enough apart to be told from each other after lossy coding."""


def video(
    frames: int = 8,
    rate_hz: float = 4.0,
    size_hw: tuple[int, int] = (32, 40),
    container: str = "mp4",
    codec: str = "libx264",
    gop: int = 4,
    b_frames: int = 2,
    times_s: list[float] | None = None,
    movflags: str = "",
) -> bytes:
    """A video of grey frames, frame i of brightness LEVELS[i % 31]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video")
        options = {"movflags": movflags} if movflags else {}
        with av.open(str(path), "w", format=container, options=options) as out:
            stream = out.add_stream(codec, rate=Fraction(rate_hz).limit_denominator(1000))
            stream.height, stream.width = size_hw
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            stream.options = {
                "crf": "10",
                "g": str(gop),
                "preset": "ultrafast",
                "bf": str(b_frames),
            }
            out.start_encoding()  # writes the header, even where no frame follows
            for i in range(frames):
                grey = np.full((*size_hw, 3), LEVELS[i % len(LEVELS)], np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                time_s = i / rate_hz if times_s is None else times_s[i]
                frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        return path.read_bytes()


def without_frames() -> bytes:
    """An .mp4 with a video track and no frame in it."""
    return video(0, movflags="empty_moov")


def picture(level: int = 100, size_hw: tuple[int, int] = (32, 40), extension: str = "png") -> bytes:
    _, data = cv2.imencode(f".{extension}", np.full((*size_hw, 3), level, np.uint8))
    return data.tobytes()


def shown(level: float) -> int:
    """Number of the frame of that brightness."""
    return int(np.abs(np.array(LEVELS) - level).argmin())


def sample(number: int = 0, task: str = "caption", **fields: object) -> MediaSample:
    given = {
        "query": "What is happening?",
        "target": f"thing {number} moves",
        "task": task,
        "source": f"test {number}",
    }
    return MediaSample(**(given | fields))  # type: ignore[arg-type]


def pictures(folder: Path, count: int, shard_bytes: int = 10**6, task: str = "caption") -> Path:
    """Shards of `count` pictures; number i is of brightness i and says "thing i moves"."""
    drafts = (Draft(sample(i, task), picture(i, (8, 8)), "png") for i in range(count))
    write_shards(drafts, folder, shard_bytes)
    return folder


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    """A tar as another program might have written it, without an index."""
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def described(**fields: object) -> bytes:
    """A sample's .json with some fields replaced; None leaves one out."""
    given: dict[str, object] = {"query": "What?", "target": "a cup", "task": "t", "source": "s"}
    return json.dumps({k: v for k, v in (given | fields).items() if v is not None}).encode()


def read_back(folder: Path) -> list[tuple[MediaSample, bytes]]:
    """Every sample of a folder's one shard, with its media."""
    [tar] = shard_paths(folder)
    index = read_index(tar)
    return [
        read_sample(
            tar,
            (index.json_offsets[i], index.json_sizes[i]),
            (index.media_offsets[i], index.media_sizes[i]),
        )
        for i in range(len(index))
    ]
