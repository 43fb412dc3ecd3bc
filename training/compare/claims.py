"""The claims that were written down before the runs (docs/decisions/0061), and how each is judged.

"No difference" is the prior: a claim holds only where the interval of the difference, at a level
shared out over all claims, lies above 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.compare.bootstrap import Answers, difference
from training.evaluate.measures import Interval

SAMPLES, SECONDS, CURVE = "equal samples", "equal time", "whole curve"


@dataclass(frozen=True)
class Measure:
    """One score: which worth of which task, and whether it is the mean over kinds."""

    worth: str
    task: str
    by_kind: bool = False


MEASURES = {
    "action_accuracy": Measure("action", "action", by_kind=True),
    "vqa_macro": Measure("vqa", "vqa", by_kind=True),
    "transition_accuracy": Measure("transition", "transition"),
    "transition_macro": Measure("transition", "transition", by_kind=True),
    "action_caption_match": Measure("action_caption_match", "action_caption"),
    "scene_caption_match": Measure("scene_caption_match", "scene_caption"),
    "action_caption_cider": Measure("action_caption_cider", "action_caption"),
    "scene_caption_cider": Measure("scene_caption_cider", "scene_caption"),
    "action_caption_r1_of_100": Measure("action_caption_r1", "action_caption_r1"),
    "scene_caption_r1_of_100": Measure("scene_caption_r1", "scene_caption_r1"),
}
BLIND = {
    f"{name}_blind": Measure(f"{m.worth}_blind", m.task, m.by_kind) for name, m in MEASURES.items()
}
ANSWERED = {
    f"{name}_answered": Measure(f"{m.worth}_answered", m.task)
    for name, m in MEASURES.items()
    if m.worth == m.task and name != "transition_macro"
}


@dataclass(frozen=True)
class Claim:
    """`ours` scores higher than `theirs`."""

    measure: str
    ours: str
    theirs: str
    at: str = SAMPLES


def _against_tokens(at: str) -> tuple[Claim, ...]:
    names = ("action_accuracy", "vqa_macro", "transition_accuracy")
    captions = ("action_caption_match", "scene_caption_match")
    return tuple(Claim(name, "jepa", "token", at) for name in (*names, *captions))


CLAIMS = (
    *_against_tokens(SAMPLES),
    *_against_tokens(SECONDS),
    Claim("action_caption_cider", "jepa", "token", CURVE),
    Claim("action_accuracy", "jepa", "token", CURVE),
    Claim("action_accuracy", "jepa", "dual"),
    Claim("action_caption_r1_of_100", "jepa", "dual"),
    Claim("scene_caption_r1_of_100", "jepa", "dual"),
    Claim("vqa_macro", "jepa", "symbolic"),
    Claim("scene_caption_match", "jepa", "symbolic"),
)
LEVEL = 1 - 0.05 / len(CLAIMS)
"""Bonferroni: 95 % that none of them is called wrongly."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One learner's answers to one task at its milestones, and when those were reached."""

    answers: Sequence[Answers]
    seconds: Sequence[float]
    """Pure training time until each."""

    def at(self, seconds: float) -> Answers:
        """What its answers are worth at a time, between two milestones in proportion to log time.

        Raises:
            ValueError: before the first milestone or after the last.
        """
        if not self.seconds[0] <= seconds <= self.seconds[-1] * (1 + 1e-9):
            raise ValueError(f"{seconds:.3g} s lies outside of a curve of {self.seconds} s")
        x = float(np.interp(np.log(seconds), np.log(self.seconds), np.arange(len(self.seconds))))
        low, high = int(x), min(int(x) + 1, len(self.answers) - 1)
        a, b = self.answers[low], self.answers[high]
        worth_SR = (1 - (x - low)) * a.worth_SR + (x - low) * b.worth_SR
        return Answers(worth_SR, a.episode_R, a.kind_R)

    def mean(self) -> Answers:
        """The mean over milestones: the area under the curve over log samples."""
        first = self.answers[0]
        worth_SR = np.mean([one.worth_SR for one in self.answers], axis=0)
        return Answers(worth_SR, first.episode_R, first.kind_R)


def judge(claim: Claim, curves: Mapping[str, Curve]) -> Interval | None:
    """How far `ours` lies above `theirs`; None where one has no such score (yet, at that time)."""
    if claim.ours not in curves or claim.theirs not in curves:
        return None
    ours, theirs = curves[claim.ours], curves[claim.theirs]
    if claim.at == SAMPLES:
        pair = ours.answers[-1], theirs.answers[-1]
    elif claim.at == CURVE:
        pair = ours.mean(), theirs.mean()
    else:
        # The slower one is stopped when the quicker one has done all its steps.
        seconds = min(ours.seconds[-1], theirs.seconds[-1])
        if seconds < max(ours.seconds[0], theirs.seconds[0]):
            return None
        pair = ours.at(seconds), theirs.at(seconds)
    return difference(*pair, level=LEVEL)


def verdict(found: Interval | None) -> str:
    if found is None:
        return "not measured"
    if not found.excludes_zero():
        return "no difference shown"
    return "holds" if found.low > 0 else "the opposite holds"
