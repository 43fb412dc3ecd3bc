"""A checkpoint of open-vljepa's names and shapes, tiny, becomes ours and computes the same.

The real weights are not here: the file is made of transformers' own models at small widths, and
the names and shapes at full size are compared on the meta device.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer as Inner
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import (
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    VJEPA2Config,
    VJEPA2Model,
)

from training import convert as command
from training import open_vljepa
from training.convert import Folders, convert
from training.hf_configs import predictor_config, x_encoder_config, y_encoder_config
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.text import Tokenizer, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

VOCAB, WIDTH, TOKENS = 300, 16, 24
Tensors = dict[str, Tensor]

LLAMA_3_2_1B = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}
EMBEDDING_GEMMA = {
    "vocab_size": 262_144,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 24,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 512,
    "use_bidirectional_attention": True,
}


@dataclasses.dataclass
class Source:
    """What the layout is made of, as modules, and the files that hold it."""

    vjepa2: VJEPA2Model
    llama: LlamaForCausalLM
    gemma: Gemma3TextModel
    vis_proj: nn.Linear
    out_proj: nn.Linear
    projector: nn.Linear
    folders: Folders

    def predicted(self, pixels_TCHW: Tensor, query_ids: list[int]) -> Tensor:
        """One clip and one query without padding: last layers, no mask, norm, mean, projection."""
        tokens = self.vjepa2(pixels_TCHW[None], skip_predictor=True).last_hidden_state
        words = self.llama.model.embed_tokens(torch.tensor([query_ids]))
        inputs = torch.cat([self.vis_proj(tokens), words], dim=1)
        length = inputs.shape[1]
        body = LlamaModel(self.llama.config)
        body.layers, body.norm = self.llama.model.layers[-2:], self.llama.model.norm
        body.config.num_hidden_layers = 2
        all_see_all = torch.zeros(1, 1, length, length)
        outputs = body(inputs_embeds=inputs, attention_mask=all_see_all, use_cache=False)
        return normalize(self.out_proj(outputs.last_hidden_state.mean(dim=1)), dim=-1)[0]

    def target(self, ids: list[int]) -> Tensor:
        """One text without padding: mean over its tokens, projection."""
        outputs = self.gemma(input_ids=torch.tensor([ids])).last_hidden_state
        return normalize(self.projector(outputs.mean(dim=1)), dim=-1)[0]

    def file(self) -> dict[str, Any]:
        """What the training script saves."""
        return {
            "epoch": 3,
            "loss": 1.5,
            "config": settings(),
            "model_state_dict": {
                name: tensor.clone()
                for name, tensor in named(
                    self.llama.model, 2, self.gemma, self.vis_proj, self.out_proj, self.projector
                ).items()
            },
        }


def named(
    llama: LlamaModel,
    layers: int,
    gemma: Gemma3TextModel,
    vis_proj: nn.Module,
    out_proj: nn.Module,
    projector: nn.Module,
) -> Tensors:
    """The layout's names."""
    parts = {
        "predictor.embed_tokens": llama.embed_tokens,
        "predictor.layers": llama.layers[-layers:],
        "predictor.norm": llama.norm,
        "predictor.vis_proj": vis_proj,
        "predictor.out_proj": out_proj,
        "y_encoder.model": gemma,
        "y_encoder.projector": projector,
    }
    return {f"{k}.{n}": t for k, part in parts.items() for n, t in part.state_dict().items()}


def settings() -> dict[str, Any]:
    return {
        "encoder": {
            "type": "vjepa2-vitl",
            "model_name": "facebook/vjepa2-vitl-fpc64-256",
            "frozen": True,
            "output_dim": None,
        },
        "y_encoder": {
            "type": "embeddinggemma",
            "model_name": "google/embeddinggemma-300m",
            "proj_dim": WIDTH,
            "max_target_len": 512,
            "lr_multiplier": 0.05,
        },
        "predictor": {
            "type": "llama",
            "llama_name": "meta-llama/Llama-3.2-1B",
            "n_keep_layers": 2,
            "proj_dim": WIDTH,
            "max_query_len": 512,
            "disable_causal_mask": True,
        },
        "data": {
            "dataset": "msrvtt",
            "num_frames": 4,
            "image_size": 32,
            "max_query_len": TOKENS,
            "max_caption_len": TOKENS,
        },
        "training": {"epochs": 50, "temperature": 0.07},
        "eval": {"metrics": ["R@1"]},
    }


def with_ends(tokenizer: Tokenizer, template: str) -> str:
    """The same vocabulary with a template as Llama's ("<bos> $A") and Gemma's have one."""
    inner = Inner.from_str(tokenizer.to_json())
    ends = [("<bos>", tokenizer.bos_id), ("<eos>", tokenizer.eos_id)]
    inner.post_processor = TemplateProcessing(single=template, special_tokens=ends)
    return inner.to_str()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("folders")
    folders = Folders(root / "vjepa2", root / "llama", root / "gemma")
    vjepa2 = VJEPA2Config(
        crop_size=32,
        frames_per_clip=64,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        num_pooler_layers=1,
    )
    llama = LlamaConfig(
        **LLAMA_3_2_1B
        | {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "initializer_range": 0.2,
        }
    )
    gemma = Gemma3TextConfig(
        **EMBEDDING_GEMMA
        | {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 7,
            "num_attention_heads": 2,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 8,
            "initializer_range": 0.2,
        }
    )
    parts = VJEPA2Model(vjepa2), LlamaForCausalLM(llama), Gemma3TextModel(gemma)
    for part in parts:
        part.eval()
    parts[0].save_pretrained(folders.x_encoder)
    # Of these two only the configs and tokenizers are needed.
    llama.save_pretrained(folders.predictor)
    gemma.save_pretrained(folders.y_encoder)
    words = train_tokenizer(["the red cube", "Describe the video."], VOCAB)
    for folder, template in (
        (folders.predictor, "<bos> $A"),
        (folders.y_encoder, "<bos> $A <eos>"),
    ):
        (folder / "tokenizer.json").write_text(with_ends(words, template))
        flags = {"add_bos_token": True, "add_eos_token": template.endswith("<eos>")}
        (folder / "tokenizer_config.json").write_text(json.dumps(flags))
    return Source(*parts, nn.Linear(24, 32), nn.Linear(32, WIDTH), nn.Linear(32, WIDTH), folders)


@pytest.fixture
def folders(source: Source, tmp_path: Path) -> Folders:
    """Copies that a test may spoil: configs and tokenizers whole, V-JEPA 2 as it is."""
    copies = Folders(source.folders.x_encoder, tmp_path / "llama", tmp_path / "gemma")
    for name in ("predictor", "y_encoder"):
        getattr(copies, name).mkdir()
        for file in getattr(source.folders, name).iterdir():
            (getattr(copies, name) / file.name).write_bytes(file.read_bytes())
    return copies


def saved(folder: Path, values: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(values, folder / "best.pt")
    return folder / "best.pt"


@torch.no_grad()
def test_it_computes_what_the_layout_means(source: Source, tmp_path: Path) -> None:
    file = saved(tmp_path, source.file())
    digest = convert(file, source.folders, tmp_path / "out", dtype=torch.float32)
    model, tokenizer = checkpoint.load(tmp_path / "out", expected_sha256=digest)
    pixels = torch.randn(2, 4, 3, 32, 32)
    queries = ["Describe the video.", "Which cube?"]
    texts = ["the red cube", "a much longer caption than the first"]
    query_ids, query_mask = tokenizer.encode_batch(queries, TOKENS)
    target_ids, target_mask = tokenizer.target.encode_batch(texts, TOKENS)
    assert query_mask.min() == target_mask.min() == 0  # there is padding to leave out
    found = model(pixels, query_ids, query_mask, target_ids, target_mask)
    for row in range(2):
        query = query_ids[row, : int(query_mask[row].sum())].tolist()
        target = target_ids[row, : int(target_mask[row].sum())].tolist()
        wanted = source.predicted(pixels[row], query), source.target(target)
        torch.testing.assert_close(found[0][row], wanted[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(found[1][row], wanted[1], atol=1e-5, rtol=0)
    # Two clips and two texts that a model of constants could not tell apart.
    assert float(found[0][0] @ found[0][1]) < 0.999
    assert float(found[1][0] @ found[1][1]) < 0.999


@torch.no_grad()
def test_a_model_of_single_pictures_sees_a_tubelet_of_one(source: Source, tmp_path: Path) -> None:
    values = source.file()
    values["config"]["data"] |= {"num_frames": 1, "query_text": "Describe the image."}
    convert(saved(tmp_path, values), source.folders, tmp_path / "out", dtype=torch.float32)
    model, tokenizer = checkpoint.load(tmp_path / "out")
    assert model.config.clip_frames == 2
    assert model.config.scene_query == "Describe the image."
    picture = torch.randn(1, 1, 3, 32, 32)
    ids, mask = tokenizer.encode_batch([model.config.scene_query], TOKENS)
    found = model.predictor(model.x_encoder(picture.expand(-1, 2, -1, -1, -1)), ids, mask)
    torch.testing.assert_close(
        found[0], source.predicted(picture[0], ids[0].tolist()), atol=1e-5, rtol=0
    )


def test_the_robots_engine_runs_the_folder(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "published", source.file())
    command.main(arguments(tmp_path / "published", source.folders, tmp_path / "out"))
    assert "checkpoint: " in capsys.readouterr().out
    engine = Engine.load(tmp_path / "out", device="cpu")
    assert engine.config.scene_query == "Describe the video."
    assert (engine.config.clip_frames, engine.config.clip_rate_hz) == (4, 0.5)
    assert not engine.can_imagine
    meta = checkpoint.describe(tmp_path / "out").meta
    assert meta["temperature"] == 0.07
    assert meta["backbones"]["x_encoder"] == "facebook/vjepa2-vitl-fpc64-256"
    image = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
    prepared = engine.prepare(image)
    # The layout scales the short edge to the crop itself: here nothing but the middle is cut.
    assert np.array_equal(prepared, image[:, 16:48])
    clip = np.stack([prepared] * 4)[None]
    found = engine.predict(engine.encode_clips(clip), ["Describe the video."])[0]
    pixels = normalise(torch.from_numpy(clip[0]).permute(0, 3, 1, 2))
    ids, _ = checkpoint.load(tmp_path / "out")[1].encode_batch(["Describe the video."], TOKENS)
    with torch.no_grad():
        wanted = source.predicted(pixels, ids[0].tolist())
    # The folder holds float16.
    assert float(torch.from_numpy(found) @ wanted) > 0.9999


def arguments(file: Path, folders: Folders, out: Path) -> list[str]:
    return [
        *("open-vljepa", str(file), "--x-encoder", str(folders.x_encoder)),
        *("--predictor", str(folders.predictor), "--y-encoder", str(folders.y_encoder)),
        *("--out", str(out)),
    ]


def test_bfloat16_weights_keep_their_value_in_float16(source: Source, tmp_path: Path) -> None:
    values = source.file()
    values["model_state_dict"] = {k: v.bfloat16() for k, v in values["model_state_dict"].items()}
    convert(saved(tmp_path, values), source.folders, tmp_path / "out")
    model, _ = checkpoint.load(tmp_path / "out")
    for name, mine in open_vljepa.layout(model).items():
        theirs = values["model_state_dict"][name].float()
        assert float((mine - theirs).abs().max()) <= 2**-25, name
        assert torch.equal(mine[theirs.abs() > 1e-4], theirs[theirs.abs() > 1e-4]), name


def test_names_and_shapes_at_full_size(tmp_path: Path) -> None:
    """Llama-3.2-1B and EmbeddingGemma as published give exactly what our paper preset needs."""
    llama, gemma = LlamaConfig(**LLAMA_3_2_1B), Gemma3TextConfig(**EMBEDDING_GEMMA)
    with torch.device("meta"):
        theirs = named(
            LlamaForCausalLM(llama).model,
            8,
            Gemma3TextModel(gemma),
            nn.Linear(1024, 2048),
            nn.Linear(2048, 1536),
            nn.Linear(768, 1536),
        )
        paper = presets.paper()
        y_encoder = dataclasses.replace(paper.y_encoder, dense_widths=())
        model = VLJepa(dataclasses.replace(paper, y_encoder=y_encoder, y_decoder=None))
    ours = {name: tensor.shape for name, tensor in open_vljepa.layout(model).items()}
    assert ours == {name: tensor.shape for name, tensor in theirs.items()}
    assert len(ours) == 1 + 8 * 9 + 1 + 2 + 2 + 24 * 13 + 2 + 2
    # Every tensor of the model is either in the file or in the V-JEPA 2 folder.
    rest = set(model.state_dict()) - {n for _, n in pairs(model)}
    assert {name.split(".")[0] for name in rest} == {"x_encoder"}
    llama.save_pretrained(tmp_path / "llama")
    gemma.save_pretrained(tmp_path / "gemma")
    VJEPA2Config(crop_size=256, frames_per_clip=64).save_pretrained(tmp_path / "vjepa2")
    assert predictor_config(tmp_path / "llama", 8, 512) == paper.predictor
    assert y_encoder_config(tmp_path / "gemma", 512) == y_encoder
    assert x_encoder_config(tmp_path / "vjepa2", 16) == paper.x_encoder


def pairs(model: VLJepa) -> list[tuple[str, str]]:
    """(Their name, our name) of every tensor that the table maps."""
    own = {id(tensor): name for name, tensor in model.state_dict(keep_vars=True).items()}
    layout = {
        theirs + name.removeprefix(ours): name
        for name in own.values()
        for theirs, ours in open_vljepa.MAPPED
        if name.startswith(ours)
    }
    return list(layout.items())


def change(**tensors: Tensor | None) -> Callable[[dict[str, Any]], None]:
    """Replace (or with None remove) tensors of a file; "__" stands for a dot."""

    def apply(values: dict[str, Any]) -> None:
        for key, tensor in tensors.items():
            values["model_state_dict"].pop(key.replace("__", "."), None)
            if tensor is not None:
                values["model_state_dict"][key.replace("__", ".")] = tensor

    return apply


def put(section: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    """Change settings of a file's config."""
    return lambda values: values["config"][section].update(changes)


def drop(section: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda values: values["config"][section].pop(key)


FAULTS = [
    (
        change(predictor__layers__1__mlp__up_proj__weight=None),
        r"layers\.1\.mlp\.up_proj\.weight is m",
    ),
    (change(predictor__vis_proj__bias=None), r"predictor\.vis_proj\.bias is missing"),
    (change(predictor__embed_tokens__weight=None), r"predictor\.embed_tokens\.weight is missing"),
    (change(y_encoder__projector__weight=None), r"y_encoder\.projector\.weight is missing"),
    (change(y_encoder__model__norm__weight=None), r"y_encoder\.model\.norm\.weight is missing"),
    (change(surprise=torch.zeros(2)), "surprise is not part of the model"),
    (change(predictor__layers__2__mlp=torch.zeros(2)), r"layers\.2\.mlp is not part"),
    (change(predictor__rotary_emb__inv_freq=torch.zeros(8)), r"inv_freq is not part"),
    (change(y_encoder__model__embed_tokens__weight=torch.zeros(9, 32)), r"is \(9, 32\), expected"),
    (change(predictor__out_proj__weight=torch.zeros(32, WIDTH)), r"is \(32, 16\), expected \(16, "),
    (change(x_encoder__projector__weight=torch.zeros(2)), r"x_encoder\.projector\.weight cannot"),
    (change(x_encoder__model__encoder__a=torch.zeros(2)), r"x_encoder\.model\.encoder\.a cannot"),
    (change(predictor__norm__weight=torch.ones(32).int()), r"norm\.weight is torch\.int32"),
    (change(predictor__norm__weight=torch.full((32,), torch.nan)), r"norm\.weight is not finite"),
    (lambda v: v["model_state_dict"].update(words="a"), "words is str"),
    (put("encoder", frozen=False), r"encoder\.frozen is false"),
    (put("encoder", output_dim=64), r"encoder\.output_dim is 64"),
    (put("predictor", disable_causal_mask=False), "disable_causal_mask is false"),
    (put("predictor", proj_dim=8), "proj_dim is 8 and 16"),
    (put("predictor", n_keep_layers=0), "n_keep_layers is 0"),
    (put("predictor", n_keep_layers=3), r"predictor\.layers\.2\..* is missing"),
    (put("predictor", dora=True), r"unknown setting predictor\.dora"),
    (put("predictor", proj_dim="wide"), r"predictor\.proj_dim must be int"),
    (put("data", image_size=64), r"image_size is 64, but .* is for 32"),
    (put("data", num_frames=3), r"num_frames is 3, no whole number of tubelets"),
    (put("data", num_frames=0), "num_frames is 0"),
    (put("training", temperature=0.0), r"temperature is 0\.0"),
    (drop("training", "temperature"), "training.*'temperature'"),
    (drop("encoder", "frozen"), "encoder.*'frozen'"),
    (lambda v: v["config"].pop("data"), "data is missing"),
    (lambda v: v.update(config=None), "config is no mapping"),
    (lambda v: v.update(model_state_dict=[1]), "model_state_dict is no mapping"),
    (lambda v: v.pop("config"), "no checkpoint of open-vljepa"),
    (lambda v: v.update(ema={}), "'ema' is not part"),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_what_does_not_fit_is_named(
    source: Source, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], words: str
) -> None:
    values = source.file()
    spoil(values)
    with pytest.raises(CheckpointError, match=words):
        convert(saved(tmp_path, values), source.folders, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


class Code:
    """Unpickled, it makes the folder that is named in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_in_it_is_refused_and_not_run(source: Source, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    file = saved(tmp_path, source.file() | {"loss": Code(proof)})
    with pytest.raises(CheckpointError, match="could run code; it is refused") as error:
        convert(file, source.folders, tmp_path / "out")
    assert "mkdir" in str(error.value)
    assert "weights_only" not in str(error.value)
    assert not proof.exists()
    # The file does hold code: whoever reads it as any pickle runs it.
    torch.load(file, weights_only=False)
    assert proof.is_dir()


def test_files_that_are_no_checkpoint(source: Source, tmp_path: Path) -> None:
    def refused(path: Path, words: str) -> None:
        with pytest.raises(CheckpointError, match=words):
            convert(path, source.folders, tmp_path / "out")

    refused(tmp_path / "nowhere.pt", "neither file nor folder")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", r"one \.pt file \(found: none\)")
    file = saved(tmp_path / "folder", source.file())
    (tmp_path / "folder" / "epoch_5.pt").write_bytes(b"")
    refused(tmp_path / "folder", r"found: best\.pt, epoch_5\.pt")
    refused(tmp_path / "folder" / "epoch_5.pt", "no torch checkpoint")
    file.write_bytes(file.read_bytes()[:-500])
    refused(file, "damaged")
    file.write_bytes(pickle.dumps({"config": {}, "model_state_dict": {}}))
    refused(file, "no torch checkpoint")
    torch.save(source.file(), file, _use_new_zipfile_serialization=False)
    refused(file, "no torch checkpoint, of a torch before")
    save_file({"a": torch.zeros(1)}, file)
    refused(file, "no torch checkpoint")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    refused(file, "no torch checkpoint")


def test_wrong_folders(source: Source, folders: Folders, tmp_path: Path) -> None:
    file = saved(tmp_path, source.file())

    def refused(words: str, out: Path = tmp_path / "out", **changes: Path) -> None:
        with pytest.raises(CheckpointError, match=words):
            convert(file, dataclasses.replace(folders, **changes), out)

    refused("type 'gemma3_text'; this part needs 'llama'", predictor=folders.y_encoder)
    refused("type 'llama'; this part needs 'gemma3_text'", y_encoder=folders.predictor)
    refused("type 'llama'; this part needs 'vjepa2'", x_encoder=folders.predictor)
    refused("is no folder", x_encoder=tmp_path / "nowhere")
    refused(r"not of format vljepa_ros/1 \(found 'llama'\)", out=folders.predictor)
    convert(file, folders, tmp_path / "good")
    refused("hidden_act is 'tanh'", x_encoder=spoilt_vjepa2(source, tmp_path))
    (folders.y_encoder / "tokenizer.json").write_text("{")
    refused(r"gemma.tokenizer\.json cannot be used")
    (folders.predictor / "tokenizer.json").unlink()
    (folders.y_encoder / "tokenizer.json").unlink()
    refused(r"gemma.tokenizer\.json is missing")


def spoilt_vjepa2(source: Source, tmp_path: Path) -> Path:
    folder = tmp_path / "vjepa2"
    folder.mkdir()
    values = json.loads((source.folders.x_encoder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"hidden_act": "tanh"}))
    return folder


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [
        ("predictor", {"padding_side": "left"}, "pads at the left"),
        ("predictor", {"add_bos_token": False}, "says add_bos_token=False"),
        ("y_encoder", {"add_eos_token": False}, "says add_eos_token=False"),
        ("y_encoder", None, r"tokenizer_config\.json is missing"),
        ("y_encoder", [], r"tokenizer_config\.json is no mapping"),
    ],
)
def test_a_tokenizer_that_would_make_other_ids_is_refused(
    source: Source, folders: Folders, tmp_path: Path, name: str, said: Any, words: str
) -> None:
    file = saved(tmp_path, source.file())
    path = getattr(folders, name) / "tokenizer_config.json"
    path.unlink() if said is None else path.write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match=words):
        convert(file, folders, tmp_path / "out")


def test_a_tokenizer_of_a_larger_vocabulary_is_refused(
    source: Source, folders: Folders, tmp_path: Path
) -> None:
    path = folders.predictor / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 50}))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json makes id \d+, the model has 50"):
        convert(saved(tmp_path, source.file()), folders, tmp_path / "out")


def test_the_command_ends_with_the_reason(source: Source, tmp_path: Path) -> None:
    given = arguments(tmp_path / "nowhere", source.folders, tmp_path / "out")
    with pytest.raises(SystemExit, match=r"^training\.convert: .*nowhere is neither file"):
        command.main(given)
    with pytest.raises(SystemExit, match="rate is 0"):
        command.main([*given, "--clip-rate-hz", "0"])
