"""Pieces of SVG as text: a document, words and lines. Pure functions."""

from collections.abc import Sequence
from html import escape


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    """The document: its parts on white, in their order."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12" fill="#222">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>", ""])


def text(x: float, y: float, content: str, anchor: str = "start", weight: str = "normal") -> str:
    """`content` may be anything: it is escaped."""
    style = f'text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(content)}</text>'


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str = "#222") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
