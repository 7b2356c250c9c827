"""A customer's formatted message, made safe to show: cleaned, in a frame of its own, with a policy of its own.

Three walls, each of which holds alone: nh3 lets through what is named here and nothing else; the frame is sandboxed and
runs no script; its Content-Security-Policy fetches pictures from this desk and nothing else. What is shown is
cleaned anew each time, so that a better rule improves old messages too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import nh3
from django.core import signing
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from telltale.conversations.models import Part
from telltale.mail import formatted, history

MOST_TAGS = (
    20_000  # nh3 takes half a second for these where they are nested, and twelve for five times as many
)
LONGEST_URL = 4_000  # characters
LONGEST_DATA = 2_000_000  # characters of a picture that stands in the HTML itself
SALT = "telltale.remote-image"

# Frames that cannot run scripts, send forms, or lead the page away; links open a tab of their own.
SANDBOX = "allow-same-origin allow-popups allow-popups-to-escape-sandbox"
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; form-action 'none'; "
    f"base-uri 'none'; frame-ancestors 'self'; sandbox {SANDBOX}"
)


def _names(text: str) -> set[str]:
    return set(text.split())


_TAGS = _names(
    """
    a abbr b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em
    figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span
    strike strong sub sup table tbody td tfoot th thead tr tt u ul var wbr
    """
)
_SIZE = {"width", "height"}
_CELL = {"colspan", "rowspan", "align", "valign", "bgcolor", "nowrap", *_SIZE}
_ATTRIBUTES = {
    "*": {"style", "dir", "lang", "align", "title"},
    "a": {"href"},
    "img": {"src", "alt", *_SIZE},
    "table": {"border", "cellpadding", "cellspacing", "bgcolor", *_SIZE},
    "td": _CELL,
    "th": _CELL,
    "tr": {"bgcolor", "valign"},
    "col": {"span", "width"},
    "font": {"color", "size", "face"},
    "ol": {"start", "type"},
}
# Nothing that takes url(), and nothing that leaves its place.
_STYLES = _names(
    """
    background-color border border-bottom border-bottom-color border-bottom-style border-bottom-width
    border-collapse border-color border-left border-left-color border-left-style border-left-width
    border-radius border-right border-right-color border-right-style border-right-width border-spacing
    border-style border-top border-top-color border-top-style border-top-width border-width color
    direction display float font font-family font-size font-style font-weight height letter-spacing
    line-height list-style-type margin margin-bottom margin-left margin-right margin-top max-width
    min-width padding padding-bottom padding-left padding-right padding-top table-layout text-align
    text-decoration text-indent text-transform vertical-align white-space width word-break word-spacing
    """
)
_COLOUR_AS_BACKGROUND = re.compile(
    r"\bbackground\s*:\s*(?=(?:#[0-9a-f]{3,8}|[a-z]{3,20}|rgba?\([\d ,.%]{5,40}\))\s*(?:;|!|$))",
    re.IGNORECASE,
)
_FUNCTION = re.compile(
    r"\\|\b(?!rgba?\(|hsla?\()[\w-]+\(", re.IGNORECASE
)  # url(), expression(), and escapes of them
_PICTURE = re.compile(r"data:image/(?:png|gif|jpe?g|webp);base64,[A-Za-z0-9+/=\s]*", re.IGNORECASE)
_LINK = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)


class TooMuchMarkupError(ValueError):
    """It is built to keep us busy, or by a program that does not know what it does: its text is shown."""


@dataclass(slots=True)
class Shown:
    """A message as its frame shows it."""

    new: SafeString
    old: SafeString  # quoted history; "" where there is none
    left_out: int = 0  # pictures from elsewhere that nobody has asked for


def shown(part: Part, html: str, *, with_remote_images: bool) -> Shown:
    """The message, safe to show. Raises TooMuchMarkupError."""
    if html.count("<") > MOST_TAGS:
        raise TooMuchMarkupError
    new, old = html, ""
    if part.first_version > 1:
        new, old = formatted.without_history(html, history.without_history(part.body)[0])
    inline = {file.content_id: file.pk for file in part.attachments.all() if file.content_id}
    pictures = _Pictures(inline, with_remote_images)
    return Shown(_cleaned(new, pictures), _cleaned(old, pictures), pictures.left_out)


def remote_image_url(address: str) -> str:
    """Where the desk fetches this picture for us: nobody else can make it fetch one."""
    return reverse("remote-image", args=[signing.dumps(address, salt=SALT, compress=True)])


def remote_image_address(signed: str) -> str:
    """Raises signing.BadSignature."""
    return str(signing.loads(signed, salt=SALT))


@dataclass(slots=True)
class _Pictures:
    """Decides what becomes of each picture."""

    inline: Mapping[str, int]
    with_remote: bool
    left_out: int = field(default=0)

    def source(self, given: str) -> str | None:
        address = given.strip()
        scheme = address.partition(":")[0].lower()
        if scheme == "cid":
            pk = self.inline.get(address[4:])
            return reverse("picture", args=[pk]) if pk else None
        if scheme == "data":
            return address if len(address) <= LONGEST_DATA and _PICTURE.fullmatch(address) else None
        if scheme not in ("http", "https") or len(address) > LONGEST_URL:
            return None
        if not self.with_remote:
            self.left_out += 1
            return None
        return remote_image_url(address)


def _with_colours(style: str) -> str:
    """Programs write "background" for a colour; that also takes url(), and is not let through."""
    return _COLOUR_AS_BACKGROUND.sub("background-color:", style)


def _cleaned(html: str, pictures: _Pictures) -> SafeString:
    def attribute(tag: str, name: str, value: str) -> str | None:
        if tag == "img" and name == "src":
            return pictures.source(value)
        if name == "href":
            return value if _LINK.match(value) else None
        if name == "style":
            return ";".join(one for one in _with_colours(value).split(";") if not _FUNCTION.search(one))
        return value

    if not html.strip():
        return SafeString("")
    cleaned = nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template", "noscript", "object", "svg", "math"},
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        filter_style_properties=_STYLES,
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )
    return mark_safe(cleaned)  # noqa: S308  (that is what it was cleaned for)
