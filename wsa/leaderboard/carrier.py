"""Data in scripts: from a disk, a page can load nothing else. `static/data.js` unpacks them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

_CARRIED = re.compile(r'wsa\.carry\("([A-Za-z0-9+/=]*)"\);\n')


def carrier(content: Any) -> str:
    """A script that carries `content`, as compressed JSON; equal content gives equal text."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    packed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    return f'wsa.carry("{base64.b64encode(packed).decode()}");\n'


def content_of(script: str) -> Any:
    """What a script that `carrier` made carries.

    >>> content_of(carrier({"a": [1, "é"]}))
    {'a': [1, 'é']}
    """
    found = _CARRIED.fullmatch(script)
    if found is None:
        raise ValueError("this script carries nothing")
    return json.loads(gzip.decompress(base64.b64decode(found[1])))
