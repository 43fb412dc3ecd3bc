"""Visual tokens of a stream, each tubelet encoded once.

Where the X-encoder sees one tubelet at a time (`frames_per_pass` = `tubelet_frames`), its tokens do
not depend on the rest of the clip, and the clip buffer repeats the same tubelets in clip after
clip. They are kept by the stamps of their frames. Where frames attend across tubelets nothing can
be kept, and every clip is encoded whole.
"""

from __future__ import annotations

import numpy as np

from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.stream.clip_buffer import FRAMES_PER_PERIOD
from vljepa_ros.types import Clip, Frame


class TokenCache:
    """Clips of prepared frames to tokens. Holds what the next clips can use; single-threaded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
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
        if not self._engine.tubelets_are_independent:
            self.encoded += len(clip.frames) // self._tubelet_frames
            images_BTHWC = np.stack([f.image_HWC for f in clip.frames])[None]
            return self._engine.encode_clips(images_BTHWC)
        tubelets = self._tubelets(clip)
        missing = {_key(t): t for t in tubelets if _key(t) not in self._kept}
        if missing:
            images_BTHWC = np.stack(
                [np.stack([f.image_HWC for f in tubelet]) for tubelet in missing.values()]
            )
            tokens_BND = self._engine.encode_tubelets(images_BTHWC)
            self._kept.update(zip(missing, tokens_BND, strict=True))
            self.encoded += len(missing)
        tokens_BTND = self._engine.stack_tubelets([self._kept[_key(t)] for t in tubelets])
        self._forget_before(clip.start_ns)
        return tokens_BTND

    def _tubelets(self, clip: Clip) -> list[tuple[Frame, ...]]:
        width = self._tubelet_frames
        return [clip.frames[at : at + width] for at in range(0, len(clip.frames), width)]

    def _forget_before(self, stamp_ns: int) -> None:
        kept = {key: tokens for key, tokens in self._kept.items() if key[-1] >= stamp_ns}
        # A camera too dense for the buffer leaves more tubelets than the buffer has frames.
        crowd = sorted(kept, key=lambda key: key[-1])[: -self._most]
        for key in crowd:
            del kept[key]
        self._kept = kept


def _key(tubelet: tuple[Frame, ...]) -> tuple[int, ...]:
    return tuple(frame.stamp_ns for frame in tubelet)
