"""The pages hold together: links lead somewhere, quoted messages are what the source says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import NOT_RUN, PAGES, ROOT, anchors, blocks, links, quotes

LANGUAGES = {"bash", "json", "text"}
VARIES = "…"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path} has no #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_says_its_language_and_every_mark_is_read(page: Path) -> None:
    found = list(blocks(page))
    for block in found:
        assert block.language in LANGUAGES, f"{block.where}: fence it, with one of {LANGUAGES}"
    marks = NOT_RUN.findall(page.read_text())
    assert marks == [block.not_run for block in found if block.not_run], "a mark before no fence"


def test_the_readme_leads_to_every_page_a_stranger_needs() -> None:
    linked = set(links(ROOT / "README.md"))
    for name in ("architecture", "install", "reference", "troubleshooting"):
        assert f"docs/{name}.md" in linked


def literals(file: Path) -> Iterator[str]:
    """Texts in a source file, `…` for every value in them; joined as Python joins them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VARIES
                for part in node.values
            )


def said() -> list[str]:
    files = [*(ROOT / "vljepa_ros").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    return [" ".join(text.split()) for file in files for text in literals(file)]


def is_said(quote: str, texts: list[str]) -> bool:
    """Whether one text of the source holds the quote, whose ends may be left out."""
    core = quote.strip(f" {VARIES}")
    return bool(core) and any(core in text for text in texts)


def test_every_quoted_message_is_one_that_the_source_says() -> None:
    texts = said()
    found = [(page.name, quote) for page in PAGES for quote in quotes(page)]
    assert len(found) > 25
    unsaid = [f"{page}: {quote}" for page, quote in found if not is_said(quote, texts)]
    assert not unsaid, "\n".join(unsaid)


def test_a_message_that_nobody_says_is_found() -> None:
    texts = [f"{VARIES} is missing; restore the file", "no image on the topic"]
    assert is_said(f"{VARIES} is missing; restore {VARIES}", texts)
    assert not is_said("is missing; buy another", texts)
    assert not is_said(VARIES, texts)
