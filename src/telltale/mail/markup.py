"""The words of an HTML text, line by line. Not a browser: good enough to read what a mail server says in it."""

from __future__ import annotations

import html
import re

_PIECES = re.compile(r"<(/?[A-Za-z][A-Za-z0-9]*+|!--)?+([^<>]*+)>")
_HIDDEN = {"script", "style", "head", "title"}
_NEW_LINE = {"br", "p", "div", "tr", "li", "ul", "table", "blockquote", "pre", "h1", "h2", "h3", "h4", "hr"}
_NEXT_CELL = {"td", "th"}


def text_of_html(markup: str) -> str:
    """The text between the tags, with lines where a reader sees lines."""
    words: list[str] = []
    hidden = ""
    at = 0
    for tag in _PIECES.finditer(markup):
        if not hidden:
            words.append(_spaced(markup[at : tag.start()]))
        at = tag.end()
        name = (tag[1] or "").lower()
        if "@" in tag[0] and "=" not in tag[0] and " " not in tag[0]:
            words.append(tag[0])  # "<ana@lamp.example>" that somebody forgot to escape
        hidden = _hidden_after(name, hidden)
        words.append("\n" if name.strip("/") in _NEW_LINE else " " if name in _NEXT_CELL else "")
    if not hidden:
        words.append(_spaced(markup[at:]))
    return html.unescape("".join(words)).replace("\xa0", " ")


def _hidden_after(name: str, hidden: str) -> str:
    if hidden:
        return "" if name == f"/{hidden}" or (hidden in ("head", "title") and name == "body") else hidden
    return name if name in _HIDDEN else ""


def _spaced(words: str) -> str:
    """Line ends in HTML are spaces."""
    return words.replace("\n", " ")
