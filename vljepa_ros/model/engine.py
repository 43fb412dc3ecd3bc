"""The trained model as the robot uses it: numpy in, numpy out, no gradients.

Visual tokens stay torch tensors on the model's device; callers keep and hand them back unread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vljepa_ros.config import ModelConfig
from vljepa_ros.model import checkpoint
from vljepa_ros.model.cache import Cache
from vljepa_ros.model.device import EngineError, resolve_device, resolve_dtype
from vljepa_ros.model.imagined import Imagined
from vljepa_ros.model.preprocessing import normalise, prepare_frame
from vljepa_ros.model.reliability import Reliability
from vljepa_ros.model.text import Tokenizer, check_text
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.paths import PathsError, default_model
from vljepa_ros.types import EmbeddingE, ImageHWC, LabelScore

Tokens: TypeAlias = Tensor
"""Visual tokens of the X-encoder: opaque outside the model."""
Embeddings: TypeAlias = npt.NDArray[np.float32]
"""(n, E), float32, unit L2 norm."""

DEFAULT_TEMPERATURE = 0.07
TEXTS_A_BATCH = 64
CACHED_QUERIES = 256
CACHED_TEXTS = 4096

__all__ = ["Embeddings", "Engine", "EngineError", "Tokens"]


class Engine:
    """One loaded model. Any thread may call; calls run one after another."""

    def __init__(
        self,
        model: VLJepa,
        tokenizer: Tokenizer,
        *,
        sha256: str,
        device: torch.device,
        temperature: float = DEFAULT_TEMPERATURE,
        reliability: Reliability | None = None,
    ) -> None:
        """`model` and `reliability` must be on `device`; see `load`."""
        self._model, self._tokenizer = model.eval(), tokenizer
        self._device, self._sha256, self._temperature = device, sha256, temperature
        self._reliability = reliability or Reliability()
        self._lock = threading.RLock()
        self._queries: Cache[tuple[Tensor, Tensor]] = Cache(CACHED_QUERIES)
        self._texts: Cache[EmbeddingE] = Cache(CACHED_TEXTS)

    @classmethod
    def load(
        cls,
        model_path: str | Path = "",
        device: str = "auto",
        dtype: str = "auto",
        threads: int = 0,
        expected_sha256: str = "",
    ) -> Engine:
        """Load a checkpoint folder; "" is the package's default model.

        `threads` > 0 sets torch's CPU threads for the whole process.

        Raises:
            CheckpointError: the folder cannot be used.
            EngineError: the device or number type cannot be used.
        """
        if threads < 0:
            raise EngineError(f"threads must be 0 (torch's choice) or more, not {threads}")
        if threads:
            torch.set_num_threads(threads)
        chosen = resolve_device(device)
        folder = _folder(model_path)
        model, tokenizer = checkpoint.load(
            folder,
            device=chosen,
            dtype=resolve_dtype(dtype, chosen),
            expected_sha256=expected_sha256 or None,
        )
        description = checkpoint.describe(folder)
        reliability = checkpoint.load_reliability(folder)
        return cls(
            model,
            tokenizer,
            sha256=description.sha256[checkpoint.WEIGHTS],
            device=chosen,
            temperature=_temperature(description.meta),
            reliability=reliability.to(chosen) if reliability else None,
        )

    @property
    def config(self) -> ModelConfig:
        """The model's own config."""
        return self._model.config

    @property
    def sha256(self) -> str:
        """Digest (hex) of model.safetensors."""
        return self._sha256

    @property
    def space_id(self) -> str:
        """Name of the embedding space: only embeddings of equal space_id may be compared."""
        return f"{self.config.name}:{self.sha256[:16]}:{self.embedding_width}"

    @property
    def embedding_width(self) -> int:
        """E."""
        return self.config.embedding_width

    @property
    def has_decoder(self) -> bool:
        """Whether embeddings can be turned into text."""
        return self._model.y_decoder is not None

    @property
    def can_imagine(self) -> bool:
        """Whether the model predicts the scene after an action."""
        return self.config.predictor.next_tokens

    @property
    def tubelets_are_independent(self) -> bool:
        """Whether a tubelet's tokens depend on its own frames only, so that they may be kept."""
        config = self.config.x_encoder
        return config.frames_per_pass == config.tubelet_frames

    @property
    def device(self) -> str:
        """Where the model runs, as torch names it."""
        return str(self._device)

    @property
    def dtype(self) -> str:
        """Number type of the weights."""
        return str(next(self._model.parameters()).dtype).removeprefix("torch.")

    # --- seeing

    def prepare(self, image_HWC: ImageHWC) -> ImageHWC:
        """Resize and crop one RGB frame to (crop, crop, 3) uint8: once a frame, on the CPU.

        Raises:
            ImageError: an image that cannot be prepared.
        """
        x_encoder = self.config.x_encoder
        return prepare_frame(image_HWC, x_encoder.crop_px, x_encoder.resize_px)

    def encode_tubelets(self, prepared_BTHWC: ImageHWC) -> Tokens:
        """Tokens (B, N, D) of B tubelets of `tubelet_frames` prepared frames each.

        Raises:
            EngineError: this model's tubelets see each other (see `tubelets_are_independent`).
        """
        if not self.tubelets_are_independent:
            raise EngineError(
                f"model {self.config.name!r} joins frames of several tubelets; use encode_clips"
            )
        return self._encode(prepared_BTHWC, self.config.x_encoder.tubelet_frames)[:, 0]

    def encode_clips(self, prepared_BTHWC: ImageHWC) -> Tokens:
        """Tokens (B, T', N, D) of B clips of `clip_frames` prepared frames each, oldest first."""
        return self._encode(prepared_BTHWC, self.config.clip_frames)

    def stack_tubelets(self, tubelets_ND: Sequence[Tokens]) -> Tokens:
        """Tokens (N, D) of a clip's tubelets, oldest first, as one clip's tokens (1, T', N, D)."""
        return torch.stack(list(tubelets_ND)).unsqueeze(0)

    def join_clips(self, clips_1TND: Sequence[Tokens]) -> Tokens:
        """Some clips' tokens (1, T', N, D) as one batch (B, T', N, D)."""
        return clips_1TND[0] if len(clips_1TND) == 1 else torch.cat(list(clips_1TND))

    def split_clips(self, tokens_BTND: Tokens) -> list[Tokens]:
        """Each clip of a batch as (1, T', N, D), in memory of its own: kept, it holds no other."""
        if len(tokens_BTND) == 1:
            return [tokens_BTND]
        return [clip_1TND.clone() for clip_1TND in tokens_BTND.split(1)]

    def _encode(self, prepared_BTHWC: ImageHWC, frames: int) -> Tokens:
        crop_px = self.config.x_encoder.crop_px
        expected = (frames, crop_px, crop_px, 3)
        if prepared_BTHWC.dtype != np.uint8 or prepared_BTHWC.shape[1:] != expected:
            raise EngineError(
                f"frames must be uint8 (B, {', '.join(map(str, expected))}), not "
                f"{prepared_BTHWC.dtype} {prepared_BTHWC.shape}; use prepare"
            )
        with self._lock, torch.inference_mode():
            writable_BTHWC = np.require(prepared_BTHWC, requirements=["C", "W"])  # or torch warns
            images_BTHWC = torch.from_numpy(writable_BTHWC).to(self._device)
            tokens: Tensor = self._model.x_encoder(normalise(images_BTHWC.permute(0, 1, 4, 2, 3)))
            return tokens

    # --- predicting

    def predict(self, tokens_BTND: Tokens, queries: Sequence[str]) -> Embeddings:
        """Predicted embeddings (B, E): one query a clip, or one clip with every query.

        Raises:
            TextError: a query that is empty, too long, or no valid Unicode.
            EngineError: neither one query a clip nor one clip.
        """
        if not queries:
            return np.empty((0, self.embedding_width), np.float32)
        _check_paired(tokens_BTND, queries)
        ids_BL, mask_BL = self._query_ids(tuple(queries))
        with self._lock, torch.inference_mode():
            return _to_numpy(self._model.predictor(tokens_BTND, ids_BL, mask_BL))

    def imagine(self, tokens_BTND: Tokens, actions: Sequence[str]) -> Imagined:
        """What each action would lead to: one action a clip, or one clip with every action.

        Without a measured reliability (`checkpoint.load_reliability`) nothing is known of how far
        to trust the model: uncertainty is then 1 and everything is out of distribution.

        Raises:
            TextError: an action that is empty, too long, or no valid Unicode.
            EngineError: this model cannot imagine, or actions and clips do not pair.
        """
        if not self.can_imagine:
            raise EngineError(
                f"model {self.config.name!r} was not trained to predict what actions lead to; set "
                "model_path to one that was"
            )
        if not actions:
            raise EngineError("no action to imagine; give at least one")
        _check_paired(tokens_BTND, actions)
        ids_BL, mask_BL = self._query_ids(tuple(actions))
        predictor = self._model.predictor
        with self._lock, torch.inference_mode():
            found = predictor.imagine(tokens_BTND, ids_BL, mask_BL)
            uncertainty_B = torch.ones(len(actions))
            novelty_B = torch.full((len(actions),), torch.inf)
            known, scenes = self._reliability.actions, self._reliability.scenes
            if known is not None:
                uncertainty_B = known.uncertainty(found.pooled_BD)
            if known is not None and scenes is not None:
                novelty_B = torch.maximum(
                    scenes.novelty(tokens_BTND[:, -1]), known.novelty(ids_BL, mask_BL)
                )
            return Imagined(
                _to_numpy(found.embedding_BE),
                predictor.still(found.next_BND),
                found.pooled_BD,
                _to_numpy(uncertainty_B),
                _to_numpy(novelty_B),
            )

    def scenes_after(self, imagined: Imagined, before_E: EmbeddingE) -> Embeddings:
        """What the scene query answers after each of n actions (n, E).

        `before_E` is what it answers before. Where that was learnt (`Reliability.scene_after`) it
        costs no pass of the predictor; else the imagined scenes are asked.
        """
        scene_after = self._reliability.scene_after
        count = len(imagined.embeddings)
        if scene_after is None:
            return self.predict(imagined.tokens, [self.config.scene_query] * count)
        with self._lock, torch.inference_mode():
            before_1E = torch.from_numpy(np.array(before_E)).to(self._device)[None]
            return _to_numpy(scene_after(imagined.pooled, before_1E.expand(count, -1)))

    def scene_novelty(self, tokens_BTND: Tokens) -> npt.NDArray[np.float32]:
        """Above 1 (B,): a clip's newest tokens are unlike the scenes that the model knows.

        0 where that was never measured (`checkpoint.load_reliability`).
        """
        scenes = self._reliability.scenes
        if scenes is None:
            return np.zeros(len(tokens_BTND), np.float32)
        with self._lock, torch.inference_mode():
            return _to_numpy(scenes.novelty(tokens_BTND[:, -1]))

    def clarity(self, embeddings: Embeddings) -> npt.NDArray[np.float32]:
        """How probable the words would be that `decode` finds for each embedding (n, E): (n,).

        Costs no pass of the Y-decoder. 1 where it was never measured
        (`checkpoint.load_reliability`): then words are not waited for.
        """
        clarity = self._reliability.clarity
        if clarity is None:
            return np.ones(len(embeddings), np.float32)
        with self._lock, torch.inference_mode():
            embeddings_BE = torch.from_numpy(np.array(self._checked(embeddings)))
            return _to_numpy(clarity(embeddings_BE.to(self._device)))

    def join_states(self, initial_BTND: Tokens, final_BTND: Tokens) -> Tokens:
        """The last moments of two clips as one clip: what `inverse_query` is asked of."""
        return self._model.predictor.join(initial_BTND[:, -1], final_BTND[:, -1])

    def check_query(self, query: str) -> None:
        """Raise TextError if `predict` would refuse this query."""
        self._query_ids((query,))

    def _query_ids(self, queries: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        with self._lock:
            found = self._queries.get(queries)
            if found is None:
                limit = self.config.predictor.max_query_tokens
                ids_BL, mask_BL = self._tokenizer.encode_batch(queries, limit, truncate=False)
                found = ids_BL.to(self._device), mask_BL.to(self._device)
                self._queries.put(queries, found)
            return found

    # --- text

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> Embeddings:
        """Embeddings (n, E) of texts, in their order; known ones come from a cache.

        With `truncate` a text beyond the Y-encoder's length is judged by its beginning.

        Raises:
            TextError: a text that is empty, too long, or no valid Unicode.
        """
        with self._lock:
            for text in texts:
                check_text(text)
            known = {text: self._texts.get((text, truncate)) for text in texts}
            fresh = [text for text, embedding in known.items() if embedding is None]
            for start in range(0, len(fresh), TEXTS_A_BATCH):
                some = fresh[start : start + TEXTS_A_BATCH]
                embeddings = self._encode_fresh(some, truncate=truncate)
                for text, embedding_E in zip(some, embeddings, strict=True):
                    known[text] = embedding_E
                    self._texts.put((text, truncate), embedding_E)
            rows = [row for text in texts if (row := known[text]) is not None]
            return np.stack(rows) if rows else np.empty((0, self.embedding_width), np.float32)

    def warning_about(self, text: str) -> str:
        """What to tell whoever uses words that the model never learnt, as of another language.

        Empty where it knows most of them.
        """
        strange = self._tokenizer.target.strange_words(text)
        if 2 * len(strange) <= len(text.split()):
            return ""
        return (
            f"most words of {text!r} are unknown to {self.config.name}, so what is found may mean "
            "little; use the language and words of its captions"
        )

    def _encode_fresh(self, texts: Sequence[str], *, truncate: bool) -> Embeddings:
        ids_BL, mask_BL = self._tokenizer.target.encode_batch(
            texts, self.config.y_encoder.max_tokens, truncate=truncate
        )
        with torch.inference_mode():
            return _to_numpy(
                self._model.y_encoder(ids_BL.to(self._device), mask_BL.to(self._device))
            )

    def score_labels(
        self, embedding_E: EmbeddingE, labels: Sequence[str]
    ) -> tuple[LabelScore, ...]:
        """How well each label fits, in the order given: cosine, and softmax over these labels."""
        if not labels:
            return ()
        similarities = self.encode_texts(labels) @ self._checked(embedding_E[None])[0]
        weights = np.exp((similarities - similarities.max()) / self._temperature)
        probabilities = weights / weights.sum()
        return tuple(
            LabelScore(label, float(s), float(p))
            for label, s, p in zip(labels, similarities, probabilities, strict=True)
        )

    def decode(self, embeddings: Embeddings) -> list[str]:
        """A text for each embedding (n, E); "" where the model has no words (or no Y-decoder)."""
        embeddings = self._checked(embeddings)
        decoder = self._model.y_decoder
        if decoder is None or not len(embeddings):
            return [""] * len(embeddings)
        with self._lock, torch.inference_mode():
            ids_BL = decoder.generate(
                torch.from_numpy(np.array(embeddings)).to(self._device),
                eos_id=self._tokenizer.eos_id,
                pad_id=self._tokenizer.pad_id,
            )
        return self._tokenizer.decode(ids_BL)

    def caption_log_probability(self, text: str, embeddings: Embeddings) -> npt.NDArray[np.float64]:
        """How probable the Y-decoder finds a text, end included, for each embedding (n, E).

        One parallel pass, where finding words takes one pass a token. A text beyond the Y-decoder's
        length is judged by its beginning.

        Raises:
            EngineError: the model has no Y-decoder.
        """
        decoder = self._model.y_decoder
        if decoder is None:
            raise EngineError("this model has no Y-decoder; it finds no text probable")
        embeddings = self._checked(embeddings)
        limit = decoder.config.max_new_tokens
        if text:
            ids_BL, mask_BL = self._tokenizer.encode_batch([text], limit, truncate=True, eos=True)
        else:  # what a model without words for an embedding says: the end at once
            ids_BL = torch.tensor([[self._tokenizer.eos_id]])
            mask_BL = torch.ones_like(ids_BL)
        ids_BL = ids_BL.expand(len(embeddings), -1).to(self._device)
        mask_BL = mask_BL.expand(len(embeddings), -1).to(self._device)
        with self._lock, torch.inference_mode():
            embeddings_BE = torch.from_numpy(np.array(embeddings)).to(self._device)
            logits_BLV = decoder(embeddings_BE, ids_BL, mask_BL).float()
            log_BL = logits_BLV.log_softmax(-1).gather(-1, ids_BL[..., None])[..., 0]
            sum_B: npt.NDArray[np.float64] = log_BL.sum(dim=1).double().cpu().numpy()
        return sum_B

    def caption_score(self, text: str, embedding_E: EmbeddingE) -> float:
        """Cosine of a caption's embedding with an embedding; 0 for an empty caption.

        A caption beyond the Y-encoder's length is judged by its beginning.
        """
        if not text:
            return 0.0
        caption_E = self.encode_texts([text], truncate=True)[0]  # a scene gets its words again
        return float(caption_E @ self._checked(embedding_E[None])[0])

    def warm_up(self) -> None:
        """Run every part once, so that the first frame is not the slow one."""
        crop_px = self.config.x_encoder.crop_px
        clip = np.zeros((1, self.config.clip_frames, crop_px, crop_px, 3), np.uint8)
        if self.tubelets_are_independent:
            self.encode_tubelets(clip[:, : self.config.x_encoder.tubelet_frames])
        queries = [self.config.scene_query, self.config.caption_query]
        embeddings = self.predict(self.encode_clips(clip), queries)
        self.encode_texts(queries)
        if self.can_imagine:
            self.imagine(self.encode_clips(clip), queries)
        captions = self.decode(embeddings[:1])
        if self.has_decoder:
            self.caption_log_probability(captions[0], embeddings[:1])

    def _checked(self, embeddings: Embeddings) -> Embeddings:
        embeddings = np.asarray(embeddings, np.float32)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_width:
            raise EngineError(
                f"embeddings of this model have {self.embedding_width} values, not shape "
                f"{embeddings.shape}; they must come from space {self.space_id}"
            )
        return embeddings


def _check_paired(tokens_BTND: Tokens, queries: Sequence[str]) -> None:
    """As many clips as queries, or one that goes with each."""
    if len(tokens_BTND) not in (1, len(queries)):
        raise EngineError(f"{len(tokens_BTND)} clips and {len(queries)} queries do not pair")


def _to_numpy(values: Tensor) -> Embeddings:
    array: Embeddings = values.float().cpu().numpy()
    return array


def _folder(model_path: str | Path) -> Path:
    if str(model_path):
        return Path(model_path).expanduser()
    try:
        return default_model()
    except PathsError as error:
        raise checkpoint.CheckpointError(str(error)) from error


def _temperature(meta: Any) -> float:
    value = meta.get("temperature", DEFAULT_TEMPERATURE)
    if not isinstance(value, (int, float)) or not 0.0 < value < float("inf"):
        raise checkpoint.CheckpointError(
            f"meta.temperature in config.json is {value!r}; must be > 0"
        )
    return float(value)
