"""What came of every goal, and the figures of all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Try:
    """One goal pursued to the end."""

    kind: str
    reached: bool
    """True in the simulator when the planner stopped."""
    believed: bool
    """The planner stopped because it took the goal for reached."""
    steps: int
    wall_s: float

    @property
    def verdict(self) -> str:
        """In words."""
        if self.reached:
            return "reached" if self.believed else "reached, though the planner did not see it"
        return "not reached, though the planner thinks so" if self.believed else "not reached"


@dataclass(frozen=True)
class Score:
    """All tries; at least one."""

    tries: tuple[Try, ...]

    def figures(self) -> dict[str, float]:
        """For the last line: how many goals, the share reached, mean steps where reached (or 0)."""
        steps = [one.steps for one in self.tries if one.reached]
        return {
            "goals": len(self.tries),
            "goals_reached": round(len(steps) / len(self.tries), 3),
            "steps_per_goal": round(sum(steps) / max(len(steps), 1), 2),
        }

    def lines(self) -> list[str]:
        """A table by kind of goal, and how well the planner knew where it stood."""
        kinds = dict.fromkeys(one.kind for one in self.tries)
        width = max(map(len, kinds))
        found = []
        for kind in kinds:
            of_kind = [one.reached for one in self.tries if one.kind == kind]
            found.append(f"{kind:{width}}  {sum(of_kind)} of {len(of_kind)} reached")
        right = sum(one.reached == one.believed for one in self.tries)
        minutes = sum(one.wall_s for one in self.tries) / 60
        found.append(
            f"the planner knew in {right} of {len(self.tries)} whether it was there; "
            f"{minutes:.1f} minutes"
        )
        return found
