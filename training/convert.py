"""Make a checkpoint folder of public weights: `python -m training.convert open-vljepa best.pt ...`.

    python -m training.convert open-vljepa best.pt --x-encoder vjepa2-vitl-fpc64-256 \\
        --predictor Llama-3.2-1B --y-encoder embeddinggemma-300m --out models/open-vljepa

The three folders are local Hugging Face folders: the frozen V-JEPA 2 with its weights; of Llama and
EmbeddingGemma only config.json, tokenizer.json and tokenizer_config.json are read, since their
weights are in the checkpoint. See docs/public-weights.md.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from transformers.initialization import no_init_weights

from training import open_vljepa
from training.hf_configs import predictor_config, x_encoder_config, y_encoder_config
from vljepa_ros.config import ModelConfig
from vljepa_ros.model import checkpoint
from vljepa_ros.model.backbones import ModelFolder, fill_x_encoder
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.text import TextError, Tokenizer
from vljepa_ros.model.vljepa import VLJepa

SOURCES = ("open-vljepa",)
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
CLIP_RATE_HZ = 0.5
"""Its 8 frames are spread over a whole web video, which lasts about 16 s."""

TOKENIZER, TOKENIZER_SETTINGS = "tokenizer.json", "tokenizer_config.json"


@dataclass(frozen=True)
class Folders:
    """Local Hugging Face folders of the three backbones."""

    x_encoder: Path
    predictor: Path
    y_encoder: Path


def convert(
    source: str | Path,
    folders: Folders,
    out: str | Path,
    *,
    clip_rate_hz: float = CLIP_RATE_HZ,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write the checkpoint folder `out` and return the digest of its model.safetensors.

    float16 holds bfloat16 weights exactly, but for those nearer to 0 than 6e-5, which it rounds by
    at most 3e-8.

    Raises:
        CheckpointError: names what does not fit; nothing is written.
    """
    out = Path(out)
    if not 0.0 < clip_rate_hz < float("inf"):
        raise CheckpointError(f"the clip rate is {clip_rate_hz} Hz; must be above 0")
    if (out / checkpoint.CONFIG).exists():
        checkpoint.describe(out)  # refuses a folder of another program
    read = open_vljepa.read(source)
    config = model_config(read, folders, clip_rate_hz)
    tokenizer = tokenizers(folders, config)
    try:
        with no_init_weights():
            model = VLJepa(config)
    except ValueError as error:
        raise CheckpointError(f"{read.path} and the folders describe no model: {error}") from error
    open_vljepa.fill_from(model, read)
    fill_x_encoder(model.x_encoder, folders.x_encoder)
    return checkpoint.save(model, tokenizer, out, _meta(read), dtype=dtype)


def model_config(
    source: open_vljepa.OpenVLJepa, folders: Folders, clip_rate_hz: float
) -> ModelConfig:
    """What the checkpoint computes, in our words.

    Raises:
        CheckpointError: a folder's setting, or an image size, that our config cannot say.
    """
    data, predictor = source.settings.data, source.settings.predictor
    x_encoder = x_encoder_config(folders.x_encoder, data.num_frames)
    if data.image_size != x_encoder.crop_px:
        raise CheckpointError(
            f"{source.path}: config: data.image_size is {data.image_size}, but "
            f"{folders.x_encoder} is for {x_encoder.crop_px}; give the V-JEPA 2 folder "
            f"{source.settings.encoder.model_name}"
        )
    # V-JEPA 2 itself repeats a clip shorter than a tubelet, and drops what no tubelet is left for.
    frames = max(data.num_frames, x_encoder.tubelet_frames)
    if frames % x_encoder.tubelet_frames:
        raise CheckpointError(
            f"{source.path}: config: data.num_frames is {data.num_frames}, no whole number of "
            f"tubelets of {x_encoder.tubelet_frames}; it cannot be converted"
        )
    return ModelConfig(
        name="open-vljepa",
        clip_frames=frames,
        clip_rate_hz=clip_rate_hz,
        embedding_width=predictor.proj_dim,
        scene_query=data.query_text,
        caption_query=data.query_text,
        action_types=(),
        # Its images are scaled to the crop itself, not to 8/7 of it.
        x_encoder=replace(x_encoder, frames_per_pass=frames, resize_px=x_encoder.crop_px),
        predictor=predictor_config(folders.predictor, predictor.n_keep_layers, data.max_query_len),
        y_encoder=y_encoder_config(folders.y_encoder, data.max_caption_len),
        y_decoder=None,
    )


def tokenizers(folders: Folders, config: ModelConfig) -> Tokenizer:
    """Llama's tokenizer for queries and Gemma's for targets.

    Raises:
        CheckpointError: a file is missing, damaged, or makes other ids than transformers would.
    """
    target = _tokenizer(folders.y_encoder, config.y_encoder.vocab_size)
    query = _tokenizer(folders.predictor, config.predictor.vocab_size)
    if _tokenizer_settings(folders.predictor).get("padding_side", "right") != "right":
        # Padding between the visual tokens and the query would move the query's positions.
        raise CheckpointError(
            f"{folders.predictor / TOKENIZER_SETTINGS} pads at the left; the predictor needs "
            "queries padded at the right"
        )
    return Tokenizer.from_json(query.to_json(), target)


def _tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    path = folder / TOKENIZER
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; download the folder again")
    try:
        tokenizer = Tokenizer.from_file(path)
        row = tokenizer.encode_batch(["a"], 16)[0][0].tolist()
    except (TextError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    ids = (*row, tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id)
    if max(ids) >= vocab_size:
        raise CheckpointError(f"{path} makes id {max(ids)}, the model has {vocab_size} tokens")
    said = _tokenizer_settings(folder)
    found = {
        "add_bos_token": row[:1] == [tokenizer.bos_id],
        "add_eos_token": row[-1:] == [tokenizer.eos_id],
    }
    for name, adds in found.items():
        if name in said and bool(said[name]) != adds:
            raise CheckpointError(
                f"{folder / TOKENIZER_SETTINGS} says {name}={said[name]}, but {path} does not; "
                "download the folder again"
            )
    return tokenizer


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    values = ModelFolder(folder).json(TOKENIZER_SETTINGS)
    if not isinstance(values, dict):
        raise CheckpointError(f"{folder / TOKENIZER_SETTINGS} is no mapping; download it again")
    return values


def _meta(source: open_vljepa.OpenVLJepa) -> dict[str, Any]:
    """Where the weights are from; the temperature is what the robot's scores are scaled by."""
    with source.path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    settings = source.settings
    return {
        "converted_from": "open-vljepa",
        "source_file": source.path.name,
        "source_sha256": digest.hexdigest(),
        "backbones": {
            "x_encoder": settings.encoder.model_name,
            "predictor": settings.predictor.llama_name,
            "y_encoder": settings.y_encoder.model_name,
        },
        "license": "Llama 3.2 Community License and Gemma Terms of Use; V-JEPA 2: MIT",
        "temperature": settings.training.temperature,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=SOURCES, help="whose weights")
    parser.add_argument("checkpoint", help="its file best.pt, or a folder with one .pt file")
    parser.add_argument("--x-encoder", required=True, help="local V-JEPA 2 folder, with weights")
    parser.add_argument("--predictor", required=True, help="local Llama 3.2 folder")
    parser.add_argument("--y-encoder", required=True, help="local EmbeddingGemma folder")
    parser.add_argument("--out", required=True, help="checkpoint folder to write")
    parser.add_argument("--clip-rate-hz", type=float, default=CLIP_RATE_HZ, help="frames a second")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float16", help="as stored")
    given = parser.parse_args(arguments)
    folders = Folders(Path(given.x_encoder), Path(given.predictor), Path(given.y_encoder))
    try:
        digest = convert(
            given.checkpoint,
            folders,
            given.out,
            clip_rate_hz=given.clip_rate_hz,
            dtype=DTYPES[given.dtype],
        )
    except CheckpointError as error:
        sys.exit(f"training.convert: {error}")
    print(f"checkpoint: {given.out} (sha256 {digest})")


if __name__ == "__main__":
    main()
