"""A page, taken apart for tests, and what scripts load into it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


def carried(script: Path) -> Any:
    """What a script carries: JSON, compressed, in base64."""
    packed = re.fullmatch(r'wsa\.carry\("(.*)"\);\n', script.read_text(encoding="utf-8"))[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


class Page(HTMLParser):
    """Links, identifiers, tags, tables and rows of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.tables: dict[str, list[list[str]]] = {}  # by caption, its white space as one blank
        self._cell = False
        self._table: list[list[str]] | None = None  # of the table that is read, if it has a caption
        self._caption: list[str] | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def table(self, words: str) -> list[list[str]]:
        """The rows of the one table whose caption has `words`."""
        (found,) = [rows for caption, rows in self.tables.items() if words in caption]
        return [[cell.strip() for cell in row] for row in found]

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        self.links += [values[key] for key in ("href", "src") if values.get(key)]
        if values.get("id"):
            self.ids.append(values["id"])
        if tag == "table":
            self._table = None
        if tag == "caption":
            self._caption = []
        if tag == "tr":
            self.rows.append([])
            if self._table is not None:
                self._table.append(self.rows[-1])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th", "tr", "table"):
            self._cell = False
        if tag == "caption" and self._caption is not None:
            self._table = self.tables[" ".join("".join(self._caption).split())] = []
            self._caption = None

    def handle_data(self, data):
        if self._caption is not None:
            self._caption.append(data)
        if self._cell:
            self.rows[-1][-1] += data
