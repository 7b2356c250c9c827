"""The formatted version of a letter: its HTML as it came, and where in it the new words end.

Nothing here makes it safe to show; web/letters.py does, each time that it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from telltale.mail.text_of_html import text_of_html

MOST_HTML = 2_000_000  # characters that we keep of one letter as HTML

_TAG = re.compile(r"<[a-zA-Z][^<>]{0,600}>")
# What mail programs put around the mail that is answered: Gmail, Thunderbird, Apple Mail, Outlook (three of it), Yahoo,
# Proton, Zoho.
_OF_HISTORY = re.compile(
    r"""class=["']?[^"'<>=]*\b(?:gmail_quote|gmail_extra|moz-cite-prefix|yahoo_quoted|protonmail_quote|zmail_extra)\b"""
    r"""|\btype=["']?cite"""
    r"""|\bid=["']?[^"'<>=]*(?:divRplyFwdMsg|appendonsend|mail-editor-reference-message-container)\b"""
    r"""|style=["'][^"'=]*border:\s?none;\s?border-top:\s?solid\s+#(?:E1E1E1|B5C4DF)""",
    re.IGNORECASE,
)
# Formatting that tells something which plain text would not: pictures, tables, lists, emphasis, colours.
_TELLS = re.compile(
    r"<(?:img|table|ul|ol|h[1-4]|pre|code|b|strong|i|em|u|s|strike|del|ins|mark|sup|sub)\b"
    r"|\bcolor:\s*(?!black|windowtext|inherit|initial|#000|#1f497d|#222|rgb\(0, ?0, ?0|rgb\(34, ?34, ?34)"
    r"|background(?:-color)?:\s*(?!white|transparent|none|inherit|initial|#fff|rgb\(255, ?255, ?255)",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"<(?:style|title)\b|<!--", re.IGNORECASE)
_END_OF_HIDDEN = re.compile(r"</(?:style|title)\b|-->", re.IGNORECASE)
_OF_PROGRAMS = re.compile(r"<https?://[^<>\s]{1,2000}>|\[(?:cid|image):[^\[\]]{1,200}\]")


def as_html(text: str) -> str:
    """Plain text between pieces of HTML."""
    return f'<div style="white-space: pre-wrap">{escape(text)}</div>'


def tells_more(html: str) -> bool:
    """Whether its formatting says something that its text would not. Programs format what nobody has formatted."""
    return any(_TELLS.search(piece) for piece in _seen(html))


def _seen(html: str) -> Iterator[str]:
    """The pieces between what is never shown; behind what has no end nothing is, as in browsers."""
    at = 0
    while hidden := _HIDDEN.search(html, at):
        yield html[at : hidden.start()]
        end = _END_OF_HIDDEN.search(html, hidden.end())
        at = end.end() if end else len(html)
    yield html[at:]


def without_history(html: str, new_words: str) -> tuple[str, str]:
    """The new part of a letter's HTML, and what it carries along; "" where that is not certain.

    `new_words` is the new part of its text (mail/history.py). It has to be whole in the new part of the HTML: what
    somebody wrote below a quotation is never taken for history.
    """
    for tag in _TAG.finditer(html):
        if _OF_HISTORY.search(tag[0]):
            new, old = html[: tag.start()], html[tag.start() :]
            wanted = _squeezed(_OF_PROGRAMS.sub("", new_words))
            return (new, old) if wanted and wanted in _squeezed(text_of_html(new)) else (html, "")
    return html, ""


def _squeezed(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
