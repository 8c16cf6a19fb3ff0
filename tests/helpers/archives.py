"""The archives of the embedded model and data, which a machine without a network may have."""

from __future__ import annotations

import shutil
from pathlib import Path

from wsa.layout import Layout

ARCHIVES = Path(__file__).parents[2] / "resources/archives"


def bring_archives(layout: Layout) -> Layout:
    """Copy the archives that this clone has fetched into `layout`'s; what is missing is fetched."""
    layout.archives.mkdir(parents=True, exist_ok=True)
    for path in ARCHIVES.glob("*"):
        if path.is_file():
            shutil.copy(path, layout.archives)
    return layout
