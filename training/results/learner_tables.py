"""Tables of what was trained in several ways: learners, ablations, X-encoders."""

from __future__ import annotations

from collections.abc import Mapping

from training.evaluate.measures import Interval
from training.results.figures import Figures, Files, bold, interval, markdown, number

LEARNERS = ("jepa", "jepa_own", "token", "token_deep", "dual", "symbolic")
SCORES = {
    "action_accuracy": "action, 14-way",
    "vqa_macro": "questions, mean over types",
    "transition_accuracy": "transition, up to 8 candidates",
    "action_caption_match": "action caption, right meaning",
    "scene_caption_match": "scene caption, right meaning",
    "action_caption_cider": "action caption, CIDEr",
    "action_caption_r1_of_100": "action caption, one of 100",
    "scene_caption_r1_of_100": "scene caption, one of 100",
}
SHORT = {
    "action_accuracy": "action",
    "vqa_macro": "questions",
    "transition_accuracy": "transition",
    "action_caption_r1_of_100": "action caption",
    "scene_caption_r1_of_100": "scene caption",
}


def learners(files: Files) -> str:
    return _learners(files["compare"])


def learners_seen(files: Files) -> str:
    return _learners(files["compare_seen"])


def _learners(said: Figures) -> str:
    """Scores at the end of the runs; bold where an interval lies above every other's."""
    names = [name for name in LEARNERS if name in said["learners"]]
    rows = []
    for score, words in SCORES.items():
        ends = {
            name: said["learners"][name]["scores"][score][-1]
            for name in names
            if said["learners"][name]["scores"].get(score)
        }
        cells = [_end(ends, name) for name in names]
        rows.append([words, *cells, number(_guess(said, score), places=2)])
    return markdown(["", *(f"`{name}`" for name in names), "chance or blind"], rows)


def _end(ends: Mapping[str, Mapping[str, float]], name: str) -> str:
    if name not in ends:
        return "–"
    others = [end["high"] for other, end in ends.items() if other != name]
    return bold(interval(ends[name]), ends[name]["low"] > max(others, default=1e9))


def _guess(said: Figures, score: str) -> float | None:
    """Guessing, or the best of those who see another clip."""
    blind = [
        one["scores"][f"{score}_blind"][-1]["value"]
        for one in said["learners"].values()
        if one["scores"].get(f"{score}_blind")
    ]
    chance = said["chance"].get(score)
    return max([*blind, *([] if chance is None else [chance])], default=None)


SHOWN = ("holds", "the opposite holds")


def claims(files: Files) -> str:
    """Each with what the same claim came to on targets that have seen images."""
    before = files["compare_seen"]["claims"]
    seen = {_about(claim): f"{_above(claim)}: {claim['verdict']}" for claim in before}
    rows = [
        [
            f"`{claim['ours']}` above `{claim['theirs']}`: {claim['measure'].replace('_', ' ')}",
            claim["at"],
            _above(claim),
            bold(claim["verdict"], claim["verdict"] in SHOWN),
            seen[_about(claim)],
        ]
        for claim in files["compare"]["claims"]
    ]
    return markdown(["claim", "at", "difference", "", "with targets that have seen images"], rows)


def _about(claim: Figures) -> tuple[str, ...]:
    return claim["measure"], claim["ours"], claim["theirs"], claim["at"]


def _above(claim: Figures) -> str:
    return "–" if claim["difference"] is None else interval(claim["difference"], sign=True)


def beside(files: Files) -> str:
    """Ends compared beside the claims; bold where an interval leaves out zero."""
    found: dict[tuple[str, str], dict[str, Figures]] = {}
    for one in files["compare"]["beside"]:
        if one["difference"] is not None:
            found.setdefault((one["ours"], one["theirs"]), {})[one["measure"]] = one["difference"]
    rows = [
        [f"`{ours}` − `{theirs}`", *(_shown(of.get(score)) for score in SCORES)]
        for (ours, theirs), of in found.items()
    ]
    return markdown(["", *SCORES.values()], rows)


def _shown(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "–"
    return bold(interval(found, sign=True), Interval(**found).excludes_zero())


COSTS = {
    "answer_ms": "an answer among candidates",
    "caption_ms": "a caption",
    "step_s": "a training step",
}


def costs(files: Files) -> str:
    """As multiples of `jepa`, and what is trained in all, in millions."""
    said = files["compare"]
    names = [name for name in LEARNERS if name in said["learners"]]
    names += [name for name in said["cost_ratios"] if name not in names]
    ratios = {name: said["cost_ratios"].get(name, dict.fromkeys(COSTS, 1.0)) for name in names}
    rows = [
        [words, *(number(one.get(cost), 2) for one in ratios.values())]
        for cost, words in COSTS.items()
    ]
    counts = [said["learners"].get(name, {}).get("parameters") for name in names]
    millions = [None if parts is None else sum(parts.values()) / 1e6 for parts in counts]
    rows.append(["trained parameters, millions", *(number(count, 2) for count in millions)])
    return markdown(["multiples of `jepa`", *(f"`{name}`" for name in names)], rows)


ABLATIONS = {
    "y_lr_0.05": "Y-encoder learns at ×.05 (the paper)",
    "y_lr_1": "Y-encoder learns at ×1",
    "causal": "causal mask",
    "last_token": "read at the last token",
    "half_depth": "half of the layers",
    "cosine": "cosine loss, no negatives",
    "equal_negatives": "equal targets are negatives",
    "direct": "a second InfoNCE without query",
    "own_candidates": "a row's own wrong candidates",
}


def ablations(files: Files) -> str:
    """Scores of `base`, and how far the others lie above it; bold where that leaves out zero."""
    found = files["ablations"]["ablations"]
    base = found["base"]["scores"]
    rows = [["`base`", *(number(base[score]["score"]["value"]) for score in SHORT)]]
    for name, words in ABLATIONS.items():
        if name in found:
            above = [found[name]["scores"][score]["above_base"] for score in SHORT]
            rows.append([words, *map(_difference, above)])
    return markdown(["", *SHORT.values()], rows)


def _difference(found: Mapping[str, float]) -> str:
    shown = Interval(**found).excludes_zero()
    return bold(number(found["value"], sign=True), shown)


def x_encoders(files: Files) -> str:
    """Scores of each way, and the best that any of them reaches without looking."""
    asked = [
        (name, renderer, scores)
        for name, way in files["x_encoders"]["ways"].items()
        for renderer, scores in way["scores"].items()
    ]
    rows = [
        [f"`{name}`", renderer, *(interval(scores[score], places=2) for score in SHORT)]
        for name, renderer, scores in asked
    ]
    blind = [[s[f"{score}_blind"]["value"] for *_, s in asked if f"{score}_blind" in s]
             for score in SHORT]  # fmt: skip
    rows.append(["blind, the best", "either", *(number(max(b, default=0.01), 2) for b in blind)])
    return markdown(["X-encoder", "asked about", *SHORT.values()], rows)
