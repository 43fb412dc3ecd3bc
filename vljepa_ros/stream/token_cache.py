"""Visual tokens of a stream, each tubelet encoded once.

Where the X-encoder sees one tubelet at a time (`frames_per_pass` = `tubelet_frames`), its tokens do
not depend on the rest of the clip, and the clip buffer repeats the same tubelets in clip after
clip. They are kept by the stamps of their frames. Where frames attend across tubelets nothing can
be kept, and every clip is encoded whole.

The clips of several streams go through the X-encoder in one pass (`tokens_of`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.stream.clip_buffer import FRAMES_PER_PERIOD
from vljepa_ros.types import Clip, Frame


class TokenCache:
    """Clips of prepared frames to tokens. Holds what the next clips can use; single-threaded."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._tubelet_frames = engine.config.x_encoder.tubelet_frames
        self._most = (engine.config.clip_frames + 1) * FRAMES_PER_PERIOD
        self._kept: dict[tuple[int, ...], Tokens] = {}
        self.encoded = 0
        """Tubelets encoded so far."""

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all tokens: the stream's stamps start anew."""
        self._kept.clear()

    def tokens(self, clip: Clip) -> Tokens:
        """Tokens of one clip, (1, T', N, D); its frames are prepared ones."""
        return tokens_of([self], [clip])[0]

    def missing(self, clip: Clip) -> dict[tuple[int, ...], tuple[Frame, ...]]:
        """The clip's tubelets whose tokens are not kept, by their stamps."""
        tubelets = self._tubelets(clip)
        return {_key(t): t for t in tubelets if _key(t) not in self._kept}

    def keep(self, stamps_ns: tuple[int, ...], tokens_ND: Tokens) -> None:
        """Hold the tokens of one tubelet that was missing."""
        self._kept[stamps_ns] = tokens_ND
        self.encoded += 1

    def kept(self, clip: Clip) -> Tokens:
        """Tokens of a clip of which nothing is missing; what is older than it is forgotten."""
        tubelets = self._tubelets(clip)
        tokens_1TND = self.engine.stack_tubelets([self._kept[_key(t)] for t in tubelets])
        self._forget_before(clip.start_ns)
        return tokens_1TND

    def _tubelets(self, clip: Clip) -> list[tuple[Frame, ...]]:
        width = self._tubelet_frames
        return [clip.frames[at : at + width] for at in range(0, len(clip.frames), width)]

    def _forget_before(self, stamp_ns: int) -> None:
        for key in [key for key in self._kept if key[-1] < stamp_ns]:
            del self._kept[key]
        if len(self._kept) > self._most:
            # A camera too dense for the buffer leaves more tubelets than the buffer has frames.
            for key in sorted(self._kept, key=lambda key: key[-1])[: -self._most]:
                del self._kept[key]


def tokens_of(caches: Sequence[TokenCache], clips: Sequence[Clip]) -> list[Tokens]:
    """Tokens (1, T', N, D) of one clip of each stream, by one pass of the X-encoder."""
    engine = caches[0].engine
    if not engine.tubelets_are_independent:
        for cache, clip in zip(caches, clips, strict=True):
            cache.encoded += len(clip.frames) // engine.config.x_encoder.tubelet_frames
        return engine.split_clips(engine.encode_clips(_images([clip.frames for clip in clips])))
    missing = [
        (cache, stamps_ns, tubelet)
        for cache, clip in zip(caches, clips, strict=True)
        for stamps_ns, tubelet in cache.missing(clip).items()
    ]
    if missing:
        tokens_BND = engine.encode_tubelets(_images([tubelet for _, _, tubelet in missing]))
        for (cache, stamps_ns, _), tokens_ND in zip(missing, tokens_BND, strict=True):
            cache.keep(stamps_ns, tokens_ND)
    return [cache.kept(clip) for cache, clip in zip(caches, clips, strict=True)]


def _images(rows: Sequence[Sequence[Frame]]) -> npt.NDArray[np.uint8]:
    """(B, T, H, W, 3) of B rows of T prepared frames."""
    images_NHWC = np.stack([frame.image_HWC for frames in rows for frame in frames])
    return images_NHWC.reshape(len(rows), -1, *images_NHWC.shape[1:])


def _key(tubelet: tuple[Frame, ...]) -> tuple[int, ...]:
    return tuple(frame.stamp_ns for frame in tubelet)
