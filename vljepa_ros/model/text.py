"""Text to token ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

MAX_CHARACTERS = 4096
"""Longest text taken in; more than any query, label or caption of a robot."""

STRANGE_PIECES = 0.6
"""A word in more pieces than this share of its letters is none that was learnt."""
# The first that a vocabulary knows is used: ours, Llama 3's and Gemma's names.
PAD_NAMES = ("<pad>", "<|finetune_right_pad_id|>", "<|end_of_text|>")
BOS_NAMES = ("<bos>", "<|begin_of_text|>")
EOS_NAMES = ("<eos>", "<|end_of_text|>")


class TextError(ValueError):
    """A text or tokenizer that cannot be used; the message says the mend."""


def check_text(text: str) -> None:
    """Refuse what no tokenizer should see.

    Raises:
        TextError: empty, longer than `MAX_CHARACTERS`, NUL, or a lone surrogate.
    """
    if not isinstance(text, str):
        raise TextError(f"a text must be a string, not {type(text).__name__}")
    if not text.strip():
        raise TextError("the text is empty; say at least one word")
    if len(text) > MAX_CHARACTERS:
        raise TextError(f"the text has {len(text)} characters; shorten it to {MAX_CHARACTERS}")
    if "\0" in text:
        raise TextError(f"the text holds a NUL character at {text.index(chr(0))}; remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            f"the text holds a lone surrogate at {error.start} (no valid Unicode); remove it"
        ) from error


class Tokenizer:
    """A `tokenizers` file with the three special ids the model needs.

    `target` is the tokenizer of the Y-encoder; the same one unless the backbones come from
    different families (paper scale: Llama's for queries and captions, Gemma's for targets).
    """

    def __init__(self, inner: tokenizers.Tokenizer, target: Tokenizer | None = None) -> None:
        inner.no_padding()
        inner.no_truncation()
        inner.encode_special_tokens = True  # "<eos>" that somebody types is five characters
        self._inner = inner
        self._target = target
        self.pad_id = self._special(PAD_NAMES)
        self.bos_id = self._special(BOS_NAMES)
        self.eos_id = self._special(EOS_NAMES)

    def _special(self, names: tuple[str, ...]) -> int:
        for name in names:
            token_id = self._inner.token_to_id(name)
            if token_id is not None:
                return int(token_id)
        raise TextError(
            f"the tokenizer knows none of {', '.join(names)}; add one to its vocabulary"
        )

    @property
    def target(self) -> Tokenizer:
        """The Y-encoder's tokenizer."""
        return self._target or self

    @property
    def separate_target(self) -> bool:
        """Whether the Y-encoder has a tokenizer of its own."""
        return self._target is not None

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self._inner.get_vocab_size())

    def encode_batch(
        self, texts: Sequence[str], max_tokens: int, *, eos: bool = False, truncate: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Ids and mask (1 = token), both (B, L) long, padded at the end to the longest text.

        With `eos` each row is plain text and EOS (what the Y-decoder learns); without, it is what
        the vocabulary's own template makes of it. Longer texts are cut at `max_tokens` (EOS
        kept), or refused with `truncate=False`.

        Raises:
            TextError: see `check_text`; or too many tokens.
        """
        for text in texts:
            check_text(text)
        encodings = self._inner.encode_batch(list(texts), add_special_tokens=not eos)
        rows = [[*e.ids, self.eos_id] if eos else list(e.ids) for e in encodings]
        for text, row in zip(texts, rows, strict=True):
            if len(row) > max_tokens and not truncate:
                raise TextError(
                    f"{text[:40]!r}... has {len(row)} tokens; shorten it to {max_tokens}"
                )
        if eos:
            rows = [
                r if len(r) <= max_tokens else [*r[: max_tokens - 1], self.eos_id] for r in rows
            ]
        rows = [row[:max_tokens] for row in rows]
        length = max((len(row) for row in rows), default=0)
        ids_BL = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask_BL = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            ids_BL[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask_BL[i, : len(row)] = 1
        return ids_BL, mask_BL

    def strange_words(self, text: str) -> list[str]:
        """Words that the vocabulary has in single letters or bytes only, as of another language."""
        words = text.split()
        encodings = self._inner.encode_batch(words, add_special_tokens=False)
        pieces = [len(encoding.ids) for encoding in encodings]
        most = [max(1.0, STRANGE_PIECES * len(word)) for word in words]
        return [w for w, n, limit in zip(words, pieces, most, strict=True) if n > limit]

    def decode(self, ids: Tensor | Sequence[Sequence[int]]) -> list[str]:
        """Texts of id rows, each read up to its first EOS; special ids leave no trace.

        Any ids give a text, perhaps an empty one: bytes that are no Unicode and control characters
        are dropped, so that the result can be encoded again or is empty.
        """
        rows = ids.tolist() if isinstance(ids, Tensor) else [list(row) for row in ids]
        texts = []
        for row in rows:
            end = row.index(self.eos_id) if self.eos_id in row else len(row)
            known = [i for i in row[:end] if 0 <= i < self.vocab_size]
            text = self._inner.decode(known, skip_special_tokens=True)
            kept = (c for c in text if c != "\ufffd" and (c.isprintable() or c.isspace()))
            texts.append(" ".join("".join(kept).split()))
        return texts

    def to_json(self) -> str:
        """The file `tokenizer.json`."""
        return str(self._inner.to_str())

    @classmethod
    def from_json(cls, text: str, target: Tokenizer | None = None) -> Tokenizer:
        """Read what `to_json` (or any Hugging Face tokenizer.json) holds.

        Raises:
            TextError: not such a file.
        """
        try:
            inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library's own type
            raise TextError(f"not a tokenizer.json: {error}") from error
        return cls(inner, target)

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Read a tokenizer.json file."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


def ignore_case(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, to which case and a final full stop make no difference.

    People write "Push the red cube left." where a small model learnt "push the red cube left".
    """
    inner = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    inner.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(tokenizers.Regex(r"(?<=\w)[.!]+\s*$"), ""),
        ]
    )
    return Tokenizer(inner)


def train_tokenizer(corpus: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE of at most `vocab_size` ids from a corpus; the same corpus, the same ids.

    Every text can be encoded: unknown words fall into bytes.
    """
    special = [PAD_NAMES[0], BOS_NAMES[0], EOS_NAMES[0]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size < len(special) + len(alphabet):
        raise TextError(f"vocab_size must be at least {len(special) + len(alphabet)}")
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    inner.train_from_iterator(corpus, trainer)
    return Tokenizer(inner)
