"""Tables of the model that ships."""

from __future__ import annotations

from training.results.figures import Figures, Files, interval, markdown, number

PACES = {"busy": "busy (half of the time idle)", "calm": "calm (four fifths)"}


def selective(files: Files) -> str:
    said = files["selective"]
    rows = []
    for pace, words in PACES.items():
        needed = [said[f"{who}decodes_per_event_{pace}"] for who in ("", "uniform_", "oracle_")]
        hits = [number(said[f"{name}_{pace}"]) for name in ("hits", "every_step_hits")]
        decodes = " / ".join(number(value, 2) for value in needed)
        rows.append([words, decodes, _gain(said, f"selective_gain_{pace}"), " of ".join(hits)])
    head = ["", "decodes an event for equal quality: ours / fixed rate / oracle",
            "`selective_gain`", "events hit, of those that decoding every step hits"]  # fmt: skip
    return markdown(head, rows)


def selective_curve(files: Files) -> str:
    rows = []
    for idle, found in files["selective_curve"]["by_idle_fraction"].items():
        areas = [
            number(found["areas"][name]["value"])
            for name in ("online", "uniform", "ward_publish", "ward_middle")
        ]
        above = interval(found["differences"]["online - ward_publish"], sign=True, places=2)
        gain = _gain(found, "selective_gain")
        rows.append([f"{100 * float(idle):.0f} %", *areas, above, gain])
    head = ["idle", "ours, online", "fixed rate", "offline Ward, published",
            "offline Ward, at its middles (the paper's)", "ours − Ward published",
            "`selective_gain`"]  # fmt: skip
    return markdown(head, rows)


def selective_beside(files: Files) -> str:
    """What the same streams say against it: muteness, a gate, and captions counted early."""
    rows = []
    for idle, found in files["selective_curve"]["by_idle_fraction"].items():
        areas = [
            number(found["areas"][name]["value"])
            for name in ("online", "uniform_gated", "online_gated", "ward_start")
        ]
        qualities = [number(found[f"{name}_quality"]) for name in ("every_step", "first_only")]
        gain = number(found["gated_gain"])
        rows.append([f"{100 * float(idle):.0f} %", *qualities, *areas, gain])
    head = ["idle", "quality of decoding every step", "of the first caption and no other",
            "area: ours", "fixed rate and idle gate", "ours and idle gate",
            "offline Ward, as if published at its starts", "`gated_gain`"]  # fmt: skip
    return markdown(head, rows)


def _gain(said: Figures, name: str) -> str:
    """With its interval, which few streams do not have."""
    ends = {"value": said[name], "low": said[f"{name}_low"], "high": said[f"{name}_high"]}
    return number(said[name]) if None in ends.values() else interval(ends)


WORLD: dict[str, tuple[str, str, str]] = {
    "outcome of an action, mean over types": ("world", "transition_macro", "_blind"),
    "outcome of an action, all alike": ("world", "transition_accuracy", "_blind"),
    "outcome after 1 imagined action": ("world", "rollout_accuracy_1", "_blind"),
    "outcome after 2": ("world", "rollout_accuracy_2", "_blind"),
    "outcome after 3": ("world", "rollout_accuracy_3", "_blind"),
    "which of 8 actions lay between": ("world", "inverse_accuracy", "_blind"),
    "which of 4 clips did, as the paper asks": ("world", "inverse_clips_accuracy", "_blind"),
    "questions, mean over 13 types": ("world", "vqa_macro", "_blind"),
}


def world(files: Files) -> str:
    rows = [
        [words, number(files[file][name]), number(files[file].get(name + blind))]
        for words, (file, name, blind) in WORLD.items()
    ]
    lands = files["rare"]["outcomes"].get("lands_on")
    if lands is not None:
        words = f"putting down lands on another thing ({lands['items']} items; rare)"
        rows.append([words, number(lands["accuracy"]), number(lands["accuracy_blind"])])
    if "planner" in files:
        plans = files["planner"]
        words = (
            f"goals of 2 to 3 dependent actions, reached by asking it ({plans['goals']} goals; "
            f"an oracle {number(plans['oracle_goals_reached'])})"
        )
        random = f"{number(plans['random_goals_reached'])} (random actions)"
        rows.append([words, number(plans["goals_reached"]), random])
    return markdown(["", "reached", "blind"], rows)


LOOKS = {
    "test": "test streams",
    "untouched": "test streams by which nothing was decided",
    "heldout_wording": "unseen wordings",
    "heldout_background": "unseen backgrounds",
    "heldout_camera": "unseen cameras",
    "heldout_combination": "unseen colour-shape pairs",
    "mujoco": "drawn by MuJoCo",
}
LOOK_SCORES = {
    "action_accuracy": "action",
    "caption_match": "caption, right meaning",
    "action_caption_r1_of_100": "action caption",
    "scene_caption_r1_of_100": "scene caption",
    "transition_macro": "outcomes",
    "inverse_accuracy": "action between",
    "vqa_macro": "questions",
    "ece": "ECE",
}


def looks(files: Files) -> str:
    """What was held out as wholes, beside the test streams."""
    rows = []
    for name, words in LOOKS.items():
        if name == "test":
            found = files["tabletop"] | files["world"]
        elif name in files:
            found = files[name]
        else:
            continue
        rows.append([words, *(_beside_blind(found, score) for score in LOOK_SCORES)])
    return markdown(["score (blind)", *LOOK_SCORES.values()], rows)


def _beside_blind(found: Figures, score: str) -> str:
    blind = found.get(f"{score}_blind")
    return number(found.get(score)) + ("" if blind is None else f" ({number(blind, places=2)})")
