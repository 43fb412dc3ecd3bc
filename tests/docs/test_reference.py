"""docs/reference.md says what the source says."""

from __future__ import annotations

from known import reference


def test_the_page_is_what_the_source_makes() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run make reference"
