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
# HTML implies the end of a cell, a row or an item where the next one or the end of all follows
_ENDS = re.compile(
    r"</t[dhr]>(?=</?(?:t[dhr]|tbody|thead|table)\b)|</d[td]>(?=<d[td]\b|</dl>)"
    r"|</li>(?=<li\b|</[uo]l>)|</option>(?=<option\b|</select>)"
)

# one word needs no quotes; links and names keep theirs, for whoever looks for them in the text
_QUOTED = re.compile(r"""( (?!href|id)[a-z][\w:-]*)="([^\s"'=<>`]+)"(?=[ >])""")


def compact(page: str) -> str:
    """`page` without line breaks beside blocks, quotes around a word, implied ends of cells.

    >>> compact('<table>\\n<tr><th scope="row">a</th><td>1</td></tr>\\n</table>\\n<p>b\\nc</p>\\n')
    '<table><tr><th scope=row>a<td>1</table><p>b\\nc</p>'
    """
    short = _ENDS.sub("", _AFTER.sub(r"\1", _BEFORE.sub("", page)))
    head, body, rest = short.rpartition("<body>")  # programs that show links read the head as text
    return head + body + _QUOTED.sub(r"\1=\2", rest)
