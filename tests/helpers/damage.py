"""Ways in which a disk or a person damages a file."""

from __future__ import annotations

from pathlib import Path

DAMAGES = ("truncated", "flipped", "emptied")


def spoil(path: Path, damage: str) -> None:
    """Cut a file in half, change one byte in its middle, or empty it."""
    content = path.read_bytes()
    match damage:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            path.write_bytes(flipped(content, len(content) // 2))
        case "emptied":
            path.write_bytes(b"")


def flipped(content: bytes, position: int) -> bytes:
    """`content` with one bit changed at `position`."""
    return content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
