"""How numbers and texts are written on the pages; the templates' filters."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from markupsafe import Markup, escape

from wsa.records.run import Determinism

DASH = "–"


def decimals(value: float | None, places: int = 2) -> str:
    """A number with a true minus sign, none before zero, or a dash."""
    return DASH if value is None else f"{value:z.{places}f}".replace("-", "\u2212")


def signed(value: float | None, places: int = 2) -> str:
    return DASH if value is None else f"{value:+z.{places}f}".replace("-", "\u2212")


def count(value: float | None) -> str:
    """A number of parameters in a sentence or on an axis: 1.27 M, 592 k, 87.

    >>> count(1_270_000), count(592_130), count(87)
    ('1.27\\xa0M', '592\\xa0k', '87')
    """
    if value is None:
        return DASH
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}\u00a0{unit}"
    return f"{value:.0f}"


def parameters(value: float | None) -> str:
    """A number of parameters in a table, rounded to a whole one.

    >>> parameters(251399.67)
    '251,400'
    """
    return DASH if value is None else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """A duration: 0.4 s, 81 s, 12 min 5 s, 2 h 3 min."""
    if value is None:
        return DASH
    if value < 10:
        return f"{value:.1f}\u00a0s"
    whole = round(value)
    if whole < 120:
        return f"{whole}\u00a0s"
    if whole < 7200:
        return f"{whole // 60}\u00a0min {whole % 60}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60}\u00a0min"


def memory(value: float | None) -> str:
    """Bytes in GB or MB (powers of ten)."""
    if value is None:
        return DASH
    return f"{value / 1e9:.2f}\u00a0GB" if value >= 1e9 else f"{value / 1e6:.0f}\u00a0MB"


def short(value: float | None) -> str:
    """For a script that sorts and draws: more digits than are shown, and none for nothing.

    >>> short(94.43333333333334), short(1477442.0), short(None)
    ('94.433333', '1477442', '')
    """
    return "" if value is None else str(int(value)) if value == int(value) else f"{value:.8g}"


HEAT = 16  # the last of the stylesheet's sequential scale, .h0 … .h16


def heat(value: float, largest: float) -> int:
    """The step of the stylesheet's sequential scale for `value` of `largest`.

    >>> heat(7.5, 16), heat(16, 16), heat(0, 0)
    (8, 16, 0)
    """
    return round(HEAT * min(max(value / largest if largest else 0.0, 0.0), 1.0))


def rate(value: float | None) -> str:
    """A learning rate or another small number, in its shortest form."""
    return DASH if value is None else f"{value:g}".replace("-", "\u2212")


def date(value: str) -> str:
    """An ISO 8601 time as '1 January 2026, 10:05 UTC'; anything else as it is."""
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return value
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def span(start: str, end: str) -> str:
    """From one time to another, a day that both are of written once.

    >>> span("2026-01-01T10:05:00Z", "2026-01-01T10:07:30Z")
    '1 January 2026, 10:05 to 10:07 UTC'
    """
    first, last = date(start), date(end)
    day = first.rpartition(", ")[0]
    if day and last.startswith(f"{day}, "):
        return f"{first.removesuffix(' UTC')} to {last.removeprefix(f'{day}, ')}"
    return f"{first} to {last}"


_REPEATS = {
    "bitwise": "to the bit",
    "round-off": "but for the last digits of the logits",
    "statistical": "in distribution only",
}


def repeats(determinism: Determinism) -> str:
    """How exactly a rerun repeats, and what would make it repeat more exactly."""
    better = f"; better with {determinism.raised_by}" if determinism.raised_by else ""
    return _REPEATS[determinism.level] + better


def plain(value: object) -> str:
    """A value of a configuration as a person writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple | set):
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)


def printable(text: object) -> str:
    """`text` without the control characters that HTML forbids."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", str(text))


# classes of Unicode's bidirectional algorithm that may turn what stands beside them
_TURNING = {"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"}


def isolated(text: object) -> Markup:
    """`text` that cannot turn the direction of what stands beside it.

    >>> isolated("LoRA, rank 8"), isolated("\u05d0")
    (Markup('LoRA, rank 8'), Markup('<bdi>\u05d0</bdi>'))
    """
    said = escape(printable(text))
    if _TURNING.isdisjoint(map(unicodedata.bidirectional, said)):
        return said
    return Markup("<bdi>{}</bdi>").format(said)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}", "*": "{*}",  # else arguments of the line break before them
    "\u00a0": "~", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "≈": r"$\approx$", "≤": r"$\leq$",
    "≥": r"$\geq$", "→": r"$\to$", "σ": r"$\sigma$", "τ": r"$\tau$", "λ": r"$\lambda$",
    "Σ": r"$\Sigma$", "ℓ": r"$\ell$", "∞": r"$\infty$",
}  # fmt: skip


def latex(text: object) -> str:
    """`text` with LaTeX's special characters escaped, in one line."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(printable(text).split()))


def whole(value: float | None) -> str:
    """A whole number as LaTeX sets it, with separators of thousands."""
    return "--" if value is None else f"{value:,.0f}".replace(",", "{,}")


_LINKS = re.compile(
    r"https://[^\s<>()]*[^\s<>().,;:]|arXiv:\d{4}\.\d{4,5}|model card [\w.-]+/[\w.-]*\w"
)


def linked(text: object) -> Markup:
    """A source with its addresses, arXiv numbers and model cards as links."""

    def link(match: re.Match) -> str:
        words = match[0]
        address = words
        if words.startswith("arXiv:"):
            address = f"https://arxiv.org/abs/{words.removeprefix('arXiv:')}"
        elif words.startswith("model card "):
            address = f"https://huggingface.co/{words.removeprefix('model card ')}"
        return f'<a href="{address}">{words}</a>'

    return Markup(_LINKS.sub(link, str(escape(printable(text)))))


FILTERS = {
    "decimals": decimals, "signed": signed, "count": count, "parameters": parameters,
    "seconds": seconds, "memory": memory, "rate": rate, "date": date, "plain": plain,
    "printable": printable, "isolated": isolated, "latex": latex, "whole": whole,
    "linked": linked, "short": short, "heat": heat,
}  # fmt: skip
