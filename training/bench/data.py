"""How fast clips are read, and how long a run waits for them."""

from __future__ import annotations

import json
import time
from pathlib import Path

from training.bench.exact import ROWS
from training.data import write
from training.data.batches import ShardBatches, ShardsConfig
from training.embed import EmbedData, EmbedSettings, EmbedStage
from training.fit import FitConfig, fit
from training.loss import Temperature
from training.watch import LOG_EVERY_STEPS, LOG_FILE
from vljepa_ros import paths
from vljepa_ros.model import checkpoint

SAMPLES = Path(__file__).parents[2] / "samples"
BATCHES = 4
STEPS = LOG_EVERY_STEPS + 1
"""The first row of the log is that of the first step, which starts the workers; the last one is of
all others."""


def measure(folder: Path) -> dict[str, float]:
    """Clips of the shipped recording (320 x 240, H.264), read by one process, alone and for a run.

    The run is `sft` of the default model with one loader process and one thread.
    """
    folder.mkdir(parents=True)
    segments = json.loads((SAMPLES / "tabletop.json").read_text())["segments"]
    lines = [
        {
            "file": "tabletop.mp4",
            "start_s": segment["onset_s"],
            "end_s": segment["end_s"],
            "caption": segment["caption"],
        }
        for segment in segments
    ]
    jsonl = folder / "captions.jsonl"
    jsonl.write_text("\n".join(map(json.dumps, lines)))
    write.main(["folder", str(SAMPLES), "--jsonl", str(jsonl), "--out", str(folder / "shards")])
    model, tokenizer = checkpoint.load(paths.default_model())
    config = ShardsConfig({"shards": 1.0}, str(folder))
    data = ShardBatches(config, tokenizer, model.config, ROWS, seed=0)
    started = time.monotonic()
    for step in range(BATCHES):
        data[step]
    clips_per_s = BATCHES * ROWS / (time.monotonic() - started)
    stage = EmbedStage(model, Temperature(), EmbedData(data), EmbedSettings(y_lr_share=0.05))
    run = FitConfig(steps=STEPS, batch_size=ROWS, lr=1e-6, workers=1, threads=1, save_every_s=1e6)
    fit(stage, run, folder / "run", say=lambda _: None)
    row = json.loads((folder / "run" / LOG_FILE).read_text().splitlines()[-1])
    return {
        "clips_read_per_s": round(clips_per_s, 1),
        "frames_read_per_s": round(clips_per_s * model.config.clip_frames, 1),
        "data_wait_share": round(row["data_wait_share"], 4),
        "clips_trained_per_s": round(row["samples_per_s"], 2),
    }
