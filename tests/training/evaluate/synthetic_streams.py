"""Streams with known truth for tests: embeddings that behave like those of a sliding clip.

A meaning is a direction; a clip's embedding mixes the meanings it saw, so it moves over about a
clip's length. The first part of an action does not yet tell which one it is: there the embedding
leans towards a wrong meaning. Noise is correlated over a clip, as windows overlap.
"""

from __future__ import annotations

import numpy as np

from training.evaluate.selective import StreamRecord

WIDTH = 64
RATE_HZ = 4.0
CLIP_S = 0.8
UNDECIDED_SHARE = 0.3
IDLE = 0
MEANINGS = 200


def meaning_bank(seed: int = 0) -> np.ndarray:
    """Unit directions of MEANINGS meanings, cosine to each other about 0.4; 0 is idle."""
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((MEANINGS, WIDTH)) / np.sqrt(WIDTH)
    shared = rng.standard_normal(WIDTH) / np.sqrt(WIDTH)
    bank = own + 0.8 * shared
    return bank / np.linalg.norm(bank, axis=1, keepdims=True)


def synthetic_stream(
    seed: int, *, idle_share: float, duration_s: float = 120.0, noise: float = 0.35
) -> StreamRecord:
    """Actions of 2–4 s between idle stretches that fill `idle_share` of the time."""
    rng = np.random.default_rng(seed)
    starts_s, truth = [0.0], [IDLE]
    clock_s = 0.0
    mean_idle_s = 3.0 * idle_share / max(1.0 - idle_share, 1e-9)
    while True:
        clock_s += float(rng.uniform(0.4, 1.6)) * mean_idle_s
        action_s = float(rng.uniform(2.0, 4.0))
        if clock_s + action_s >= duration_s:
            break
        starts_s += [clock_s, clock_s + action_s]
        truth += [int(rng.integers(1, MEANINGS)), IDLE]
        clock_s += action_s
    return render(np.array(starts_s), np.array(truth), duration_s, noise, seed)


def still_stream(seed: int, *, duration_s: float = 600.0, noise: float = 0.35) -> StreamRecord:
    """Nothing happens, noisily."""
    return render(np.array([0.0]), np.array([IDLE]), duration_s, noise, seed)


def render(
    starts_s: np.ndarray, truth: np.ndarray, duration_s: float, noise: float, seed: int
) -> StreamRecord:
    """What a clip that slides over the segments shows and says, RATE_HZ steps a second."""
    rng = np.random.default_rng([seed, 1])
    bank = meaning_bank()
    fine_hz = 20.0
    fine_s = np.arange(0.0, duration_s, 1 / fine_hz)
    segment = np.searchsorted(starts_s, fine_s, side="right") - 1
    ends_s = np.append(starts_s[1:], duration_s)
    progress = (fine_s - starts_s[segment]) / (ends_s - starts_s)[segment]
    wrong = rng.integers(1, MEANINGS, len(starts_s))
    seen = np.where(progress < UNDECIDED_SHARE, wrong[segment], truth[segment])
    seen = np.where(truth[segment] == IDLE, IDLE, seen)
    seen_WE = bank[seen]
    window = int(CLIP_S * fine_hz)
    # The newest frames say most about what is going on.
    weights = np.linspace(0.2, 1.0, window)
    times_s = np.arange(0.25, duration_s, 1 / RATE_HZ)
    clean = []
    for time_s in times_s:
        stop = round(float(time_s) * fine_hz) + 1
        part = seen_WE[max(stop - window, 0) : stop]
        clean.append(weights[-len(part) :] @ part / weights[-len(part) :].sum())
    white = rng.standard_normal((len(times_s), WIDTH)) * noise / np.sqrt(WIDTH)
    coloured = np.empty_like(white)
    memory = np.zeros(WIDTH)
    for step, fresh in enumerate(white):
        memory = 0.8 * memory + 0.6 * fresh
        coloured[step] = memory
    embeddings = np.array(clean) + coloured
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    decoded = np.argmax(embeddings @ bank.T, axis=1)
    return StreamRecord(
        times_s_S=times_s,
        embeddings_SE=embeddings.astype(np.float32),
        decoded_S=decoded.astype(np.int64),
        starts_s_G=starts_s.astype(np.float64),
        truth_G=truth.astype(np.int64),
        end_s=duration_s,
    )
