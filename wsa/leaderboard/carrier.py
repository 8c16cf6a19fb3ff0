"""Data in scripts: from a disk, a page can load nothing else. `static/data.js` unpacks them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def carrier(content: Any) -> str:
    """A script that carries `content`, as compressed JSON; equal content gives equal text."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    packed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    return f'wsa.carry("{base64.b64encode(packed).decode()}");\n'
