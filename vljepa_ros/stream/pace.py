"""When the next step may begin, where the steps of a second are limited."""

from __future__ import annotations


class Pace:
    """At most so many steps a second, on whatever clock the caller has [s]."""

    def __init__(self, rate_hz: float = 0.0) -> None:
        """`rate_hz`: most steps a second; 0 = no limit."""
        self.period_s = 1.0 / rate_hz if rate_hz > 0 else 0.0
        self.next_s = float("-inf")
        """The next step may begin from here on."""

    def begin(self, now_s: float) -> None:
        """A step begins. Kept in step with the period, so that 5 Hz does not become 4.6."""
        if not self.period_s:
            return
        on_time = now_s - self.next_s < self.period_s
        self.next_s = (self.next_s if on_time else now_s) + self.period_s
