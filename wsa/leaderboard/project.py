"""What the pages say of the project itself: `pyproject.toml`, as it was installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata

NAME = "weighted-spectral-adapter"


@dataclass(frozen=True)
class Project:
    """Version and public addresses; an address that `[project.urls]` does not name is empty.

    Attributes:
        repository: of the source.
        homepage: where the site is served; previews of links need whole addresses.
    """

    version: str
    repository: str = ""
    homepage: str = ""

    def address(self, path: str) -> str:
        """The whole address of a page or picture of the site; empty where none is known."""
        return f"{self.homepage.rstrip('/')}/{path}" if self.homepage else ""


def project() -> Project:
    """What is installed; run from a source tree that is not, only that."""
    try:
        found = metadata(NAME)
    except PackageNotFoundError:
        return Project("from source")
    named = (line.partition(", ") for line in found.get_all("Project-URL") or [])
    urls = {label.lower(): url for label, _, url in named}
    return Project(found["Version"], urls.get("repository", ""), urls.get("homepage", ""))
