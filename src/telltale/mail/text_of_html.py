"""The text of HTML as a browser would lay it out, roughly. In time linear in its size: strangers write it.

Why no library: `html.parser` takes a minute for a certain 160 kB, and raises at others; nh3 is slow with deep nesting.
"""

from __future__ import annotations

import re
from html import unescape

_MARKUP = re.compile(r"<!--|<(/?)([a-zA-Z][^\s/<>]*)[^<>]*>|<[!?][^<>]*>")
# What is never shown ends here; where the end is missing, nothing behind is shown either, as in browsers.
_END_OF_HIDDEN = {
    name: re.compile(rf"</{name}[^<>]*>?|\Z", re.IGNORECASE)
    for name in ("script", "style", "title", "template")
} | {"<!--": re.compile(r"-->|\Z")}
_BLOCKS = {"p", "div", "tr", "li", "ul", "ol", "table", "blockquote", "h1", "h2", "h3", "h4", "hr", "pre"}


def text_of_html(html: str) -> str:
    """Its words, with the line ends that blocks make."""
    words = _Words()
    at = 0
    while markup := _MARKUP.search(html, at):
        words.add(html[at : markup.start()])
        name = (markup[2] or markup[0]).lower()
        words.add_markup(name, is_end=bool(markup[1]))
        end = None if markup[1] else _END_OF_HIDDEN.get(name)
        hidden = end.search(html, markup.end()) if end else None
        at = hidden.end() if hidden else markup.end()
    words.add(html[at:])
    return words.text


class _Words:
    """Text as it grows: blanks count once, blocks stand on lines of their own."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._last = "\n"
        self._is_preformatted = False

    @property
    def text(self) -> str:
        return re.sub(r"\n{3,}", "\n\n", "".join(self._pieces))

    def add(self, run: str) -> None:
        text = unescape(run)
        if not self._is_preformatted:
            text = re.sub(r"[ \t\r\n\f]+", " ", text)
            text = text.lstrip(" ") if self._last in " \n" else text
        self._put(text)

    def add_markup(self, name: str, *, is_end: bool) -> None:
        if name == "br":
            self._put("\n")
        elif name == "p" and not is_end:
            self._put("\n\n")
        elif name in _BLOCKS and self._last != "\n":
            self._put("\n")
        elif name in ("td", "th") and not is_end and self._last not in " \n":
            self._put(" ")
        if name == "pre":
            self._is_preformatted = not is_end

    def _put(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._last = text[-1]
