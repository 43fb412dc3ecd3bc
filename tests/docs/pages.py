"""What the pages hold: code, quoted messages, links. Read by a Markdown parser, as a browser's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

markdown_it = pytest.importorskip("markdown_it", reason="pip install markdown-it-py")

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """Code between fences."""

    page: Path
    line: int
    language: str
    code: str
    not_run: str
    """Why it is not run; empty = it is."""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def tokens(page: Path) -> list[markdown_it.token.Token]:
    parser = markdown_it.MarkdownIt("commonmark").enable("table")
    return list(parser.parse(page.read_text()))


def blocks(page: Path) -> Iterator[Block]:
    """Fenced code; what is only indented has no language."""
    why = ""
    for token in tokens(page):
        if token.type in {"fence", "code_block"}:
            yield Block(page, token.map[0] + 1, token.info.strip(), token.content, why)
        comment = NOT_RUN.search(token.content) if token.type == "html_block" else None
        why = comment[1] if comment else ""


def quotes(page: Path) -> Iterator[str]:
    """What stands in block quotes: messages, `…` for what differs."""
    depth = 0
    for token in tokens(page):
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if depth and token.type == "inline":
            yield " ".join(token.content.split())


def spans(page: Path) -> Iterator[str]:
    """Code within sentences."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in token.children or ():
            if child.type in {"link_open", "image"}:
                yield str(child.attrs.get("href") or child.attrs.get("src"))


def anchors(page: Path) -> set[str]:
    """Those that GitHub makes of the headings."""
    found = set()
    for before, token in zip(tokens(page), tokens(page)[1:], strict=False):
        if before.type == "heading_open":
            words = re.sub(r"[^\w\- ]", "", token.content.lower())
            found.add(words.replace(" ", "-"))
    return found


def commands(code: str) -> Iterator[list[str]]:
    """The commands of some lines of bash, as words; split where the shell splits them."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;()")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("&|;"):
                yield words
                words = []
            else:
                words.append(word)
        yield words
