"""Other models in the same harness: tiny random ones, written by transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from little_benchmarks import LITTLE, grey
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from training.data.decode import Frames
from training.data.errors import DataError
from training.evaluate.external import __main__ as command
from training.evaluate.external import benchmarks, protocols
from training.evaluate.external.baselines import PerceptionEncoderEmbedder
from training.evaluate.external.embedders import load

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
TEXT = SMALL | {"vocab_size": 40, "max_position_embeddings": 12, "projection_size": 16}
TEXT |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
VISION = SMALL | {"image_size": 32, "patch_size": 16}


def tokenizer() -> Any:
    words = ["<pad>", "<bos>", "<eos>", "<unk>", "something", "opening", "tearing", "putting"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )


def clip(folder: Path) -> None:
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"shortest_edge": 32}
    crop = {"height": 32, "width": 32}
    transformers.CLIPImageProcessor(size=size, crop_size=crop).save_pretrained(folder)


def siglip(folder: Path) -> None:
    config = transformers.SiglipConfig(text_config=TEXT, vision_config=VISION)
    transformers.SiglipModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.SiglipImageProcessor(size=size).save_pretrained(folder)


def siglip2(folder: Path) -> None:
    vision = SMALL | {"patch_size": 16, "num_patches": 4}
    config = transformers.Siglip2Config(text_config=TEXT, vision_config=vision)
    transformers.Siglip2Model(config).save_pretrained(folder)
    processor = transformers.Siglip2ImageProcessor(patch_size=16, max_num_patches=4)
    processor.save_pretrained(folder)


@pytest.fixture(params=[clip, siglip, siglip2], ids=lambda write: write.__name__)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model"
    write: Callable[[Path], None] = request.param
    write(path)
    tokenizer().save_pretrained(path)
    return path


def test_a_clip_is_the_mean_of_its_frames(folder: Path) -> None:
    embedder = load(folder, "cpu", "float32")
    rng = np.random.default_rng(0)
    frames_THWC = rng.integers(0, 256, (3, 32, 40, 3), dtype=np.uint8)
    clips = [frames_THWC, *(frames_THWC[[i]] for i in range(3))]
    whole_E, *single = embedder.embed_clips(clips, [""] * 4)
    mean_E = np.mean(single, axis=0)
    np.testing.assert_allclose(whole_E, mean_E / np.linalg.norm(mean_E), atol=1e-5)
    assert not np.allclose(single[0], single[1], atol=1e-3), "frames look alike to it"


def test_texts_are_what_transformers_makes_of_them(folder: Path) -> None:
    embedder = load(folder, "cpu", "float32")
    texts = ["opening something", "tearing", "something " * 50]
    found_BE = embedder.embed_texts(texts)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    read = transformers.AutoTokenizer.from_pretrained(folder)
    padded = {"padding": "max_length", "padding_side": "right", "max_length": 12}
    for text, found_E in zip(texts, found_BE, strict=True):
        ids = read([text], truncation=True, **padded)
        with torch.inference_mode():
            kept = torch.tensor(ids["input_ids"])
            expected_E = model.get_text_features(input_ids=kept).pooler_output[0]
        np.testing.assert_allclose(found_E, expected_E / expected_E.norm(), atol=1e-5)


@pytest.mark.parametrize("name", ["ssv2", "msrvtt", "pope", "worldprediction"])
def test_they_go_through_the_same_harness(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    LITTLE[name](root)
    arguments = ["--folder", str(root), "--model", str(folder), "--device", "cpu"]
    assert command.main([name, *arguments]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    assert scores["model"] == f"{kind}:model"
    assert 0 < scores["chance"] < 1


def test_perception_encoder_sees_a_clip_at_once(tmp_path: Path) -> None:
    """Built from its classes, with a ViT where the released one has a tower of timm's."""
    torch.manual_seed(0)
    vision = transformers.ViTConfig(**VISION, num_labels=12)
    video = transformers.PeVideoEncoderConfig(
        **SMALL, vision_config=vision, head_dim=8, num_key_value_heads=2
    )
    text = transformers.ModernBertConfig(**TEXT, cls_token_id=1, sep_token_id=2)
    config = transformers.PeVideoConfig(text_config=text, video_config=video)
    model = transformers.PeVideoModel(config).eval()

    def prepare(clips: list[Frames]) -> dict[str, torch.Tensor]:
        pixels_BTHWC = torch.from_numpy(np.stack(clips))[:, :, :32, :32].float() / 255
        return {"pixel_values_videos": pixels_BTHWC.permute(0, 1, 4, 2, 3).contiguous()}

    embedder = PerceptionEncoderEmbedder(model, tokenizer(), prepare, "pe_video:tiny")
    clip_THWC = np.stack([grey(level) for level in (1, 5, 9)])
    ids = tokenizer()(["opening something"], return_tensors="pt")
    with torch.inference_mode():
        both = model(
            input_ids=ids["input_ids"],
            attention_mask=ids["attention_mask"],
            **prepare([clip_THWC]),
        )
    pairs = [
        (embedder.embed_texts(["opening something"])[0], both.text_video_embeds[0]),
        (embedder.embed_clips([clip_THWC], [""])[0], both.video_embeds[0]),
    ]
    for found_E, expected_E in pairs:
        np.testing.assert_allclose(found_E, expected_E / expected_E.norm(), atol=1e-5)
    LITTLE["ssv2"](tmp_path)
    scores = protocols.score(benchmarks.load("ssv2", tmp_path), embedder)
    assert scores["items"] == 2


def test_other_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(DataError, match="type 'gpt2'; known are clip, siglip"):
        load(tmp_path, "cpu", "float32")
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(DataError, match="as save_pretrained writes them"):
        load(tmp_path, "cpu", "float32")
