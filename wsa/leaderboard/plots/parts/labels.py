"""Words beside marks, placed so that nothing lies over anything else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wsa.leaderboard.plots.parts.canvas import SIZE, Canvas, Point, text_width
from wsa.leaderboard.plots.parts.pictures import shorten

LINE = 15.5  # pixels from one base line to the next
RINGS = (10, 20, 34, 52, 74, 100, 130, 165)  # pixels from a mark to its label
FAR = 26.0  # pixels: a label further from its mark is tied to it by a line


@dataclass(frozen=True)
class Box:
    """A rectangle, by its left, upper, right and lower side."""

    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: Box) -> float:
        """The area that both have, in square pixels."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across * down if across > 0 and down > 0 else 0.0


@dataclass(frozen=True)
class Label:
    """Lines of words for a mark at (x, y); the first line is bold and in `colour`."""

    x: float
    y: float
    lines: Sequence[str]
    colour: str

    @property
    def width(self) -> float:
        return max(text_width(line, bold=i == 0) for i, line in enumerate(self.lines))

    @property
    def height(self) -> float:
        return LINE * len(self.lines)


def named(title: str, most: int = 28) -> tuple[str, str]:
    """A method's name, at most `most` letters of it, and its rank, which tells namesakes apart.

    >>> named("LoRA, rank 8"), named("Whole spectrum, rank 64 cut to 7")
    (('LoRA', 'rank 8'), ('Whole spectrum', 'rank 64 cut to 7'))
    >>> named("WSA, constant learning rate")
    ('WSA, constant learning rate', '')
    """
    name, comma, rank = title.partition(", rank ")
    if comma and rank[:1].isdecimal():
        return shorten(name, most), shorten(f"rank {rank}", most)
    return shorten(title, most), ""


def around(x: float, y: float, radius: float = 7.0) -> Box:
    """What a mark covers."""
    return Box(x - radius, y - radius, x + radius, y + radius)


def along(start: Point, end: Point, room: float = 2.0) -> list[Box]:
    """What a straight line covers, in pieces."""
    pieces = max(1, math.ceil(math.dist(start, end) / 6))
    found = []
    for i in range(pieces):
        a, b = ([s + (e - s) * j / pieces for s, e in zip(start, end, strict=True)]
                for j in (i, i + 1))  # fmt: skip
        found.append(
            Box(min(a[0], b[0]) - room, min(a[1], b[1]) - room,
                max(a[0], b[0]) + room, max(a[1], b[1]) + room)
        )  # fmt: skip
    return found


def place(labels: Sequence[Label], taken: Iterable[Box], within: Box) -> list[Box]:
    """Where each label goes: near its mark, off all that is `taken`, off the others, `within`."""
    covered = _sides(taken)
    places = [_places(label) for label in labels]
    costs = [
        _costs(label, boxes, covered, within) for label, boxes in zip(labels, places, strict=True)
    ]
    found: dict[int, Box] = {}
    # those with the least room around them first; a second round makes use of what others left
    order = sorted(range(len(labels)), key=lambda i: (-_crowd(labels[i], labels), i))
    for _ in range(2):
        for i in order:
            others = [box for j, box in found.items() if j != i]
            cost = costs[i] + 12 * _shared(places[i], _sides(others))
            for k in np.argsort(cost, kind="stable"):
                box = Box(*map(float, places[i][k]))
                # a line through another label reads as that label's
                if not any(o.shared(b) for b in _tie(labels[i], box) for o in others):
                    break
            else:
                box = Box(*map(float, places[i][cost.argmin()]))
            found[i] = box
    return [found[i] for i in range(len(labels))]


def _tie(label: Label, box: Box) -> list[Box]:
    tie = tied(label, box)
    return along(*tie, room=1) if tie else []


def _crowd(label: Label, labels: Sequence[Label]) -> int:
    return sum(math.hypot(label.x - o.x, label.y - o.y) < 90 for o in labels)


def _sides(boxes: Iterable[Box]) -> np.ndarray:
    """(boxes, 4): left, top, right, bottom."""
    return np.array([(b.left, b.top, b.right, b.bottom) for b in boxes]).reshape(-1, 4)


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(boxes,): the area that each has in common with all `others` together."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    width, height = np.maximum(high - low, 0.0).transpose(2, 0, 1)
    return (width * height).sum(1)


def _places(label: Label) -> np.ndarray:
    """(places, 4): the boxes that may be the label's, in rings around its mark."""
    angles, gaps = 2 * np.pi * np.arange(16) / 16, np.array(RINGS)[:, None]
    half = label.width / 2, label.height / 2
    x = label.x + np.cos(angles) * (gaps + half[0])
    y = label.y + np.sin(angles) * (gaps + half[1])
    sides = (x - half[0], y - half[1], x + half[0], y + half[1])
    return np.stack([side.ravel() for side in sides], axis=1)


def _costs(label: Label, boxes: np.ndarray, taken: np.ndarray, within: Box) -> np.ndarray:
    """(places,): what is bad about each, the other labels apart."""
    outside = label.width * label.height - _shared(boxes, _sides([within]))
    return 40 * outside + 6 * _shared(boxes, taken) + _gaps(label, boxes)


def _gaps(label: Label, boxes: np.ndarray) -> np.ndarray:
    """(boxes,): from the mark to the nearest point of each; sideways is read more easily."""
    left, top, right, bottom = boxes.T
    dx = np.maximum(np.maximum(left - label.x, label.x - right), 0)
    dy = np.maximum(np.maximum(top - label.y, label.y - bottom), 0)
    return np.hypot(dx, dy) + 3 * (dx == 0)


def tied(label: Label, box: Box) -> tuple[Point, Point] | None:
    """The line from a mark to its label, where that lies far off."""
    if _gaps(label, _sides([box]))[0] < FAR:
        return None
    x = min(max(label.x, box.left), box.right)
    y = min(max(label.y, box.top + 3), box.bottom - 3)
    far = math.dist((label.x, label.y), (x, y))
    start = [m + (e - m) * 8 / far for m, e in ((label.x, x), (label.y, y))]
    return (start[0], start[1]), (x, y)


def write(canvas: Canvas, labels: Sequence[Label], boxes: Sequence[Box]) -> None:
    """The labels where `place` put them."""
    for label, box in zip(labels, boxes, strict=True):
        if tie := tied(label, box):
            canvas.line(tie, label.colour, 1, opacity=0.7)
        left_of = box.right <= label.x
        x = box.right if left_of else box.left
        if not left_of and box.left < label.x < box.right:
            x = (box.left + box.right) / 2
        anchor = "end" if left_of else "start" if box.left >= label.x else "middle"
        for i, line in enumerate(label.lines):
            canvas.text(
                x, box.top + LINE * i + SIZE - 0.5, line, label.colour if i == 0 else "muted",
                anchor=anchor, bold=i == 0, halo=True,
            )  # fmt: skip
