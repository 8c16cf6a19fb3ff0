"""Pages without what only their templates need."""

from __future__ import annotations

import re

# beside a tag of these, white space is nothing to a browser
_BLOCKS = (
    "!doctype|html|head|body|meta|link|title|style|script|header|footer|main|nav|section|article|"
    "div|p|ul|ol|li|dl|dt|dd|table|caption|thead|tbody|tr|td|th|figure|figcaption|details|summary|"
    "h[1-6]|form|fieldset|legend|option|path|circle|g"
)
_BEFORE = re.compile(rf"\s*\n\s*(?=</?(?:{_BLOCKS})\b)", re.IGNORECASE)
_AFTER = re.compile(rf"(</?(?:{_BLOCKS})\b[^<>]*>)\s*\n\s*", re.IGNORECASE)
# HTML implies the end of a cell, and of a row, where the next one or the table's end follows
_ENDS = re.compile(r"</(?:t[dhr])>(?=</?(?:t[dhr]|tbody|thead|table)\b)")


def compact(page: str) -> str:
    """`page` without line breaks beside blocks, and without the implied ends of cells and rows.

    >>> compact("<table>\\n<tr><th>a</th><td>1</td></tr>\\n</table>\\n<p>b\\nc</p>\\n")
    '<table><tr><th>a<td>1</table><p>b\\nc</p>'
    """
    return _ENDS.sub("", _AFTER.sub(r"\1", _BEFORE.sub("", page)))
