"""How times and fates are written on pages."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, urlize
from django.utils.safestring import SafeString, mark_safe

from telltale.conversations.models import Attachment, Part
from telltale.mail.history import without_history
from telltale.mail.lookalikes import warning
from telltale.web import presentation

register = template.Library()

register.filter("age", presentation.age)
register.filter("gave_up_after", presentation.gave_up_after)
register.filter("leaves_at", presentation.leaves_at)
register.filter("lookalike", warning)

_ICONS = {
    "accepted": "check",
    "delivered": "check-twice",
    "failed": "cross",
    "delayed": "clock",
    "uncertain": "question",
    "held": "pause",
}


@register.filter
def fates(part: Part) -> list[presentation.Fate]:
    return presentation.fates(part)


@register.filter
def moment(at: datetime) -> SafeString:
    """A time as people say it: "14:05" today, "tomorrow 09:00", "12 Nov 14:05"; exact in the tooltip."""
    local = timezone.localtime(at)
    days = (local.date() - timezone.localdate()).days
    is_near = timedelta(0) < local - timezone.localtime() < timedelta(minutes=5)
    clock = f"{local:%H:%M:%S}" if is_near else f"{local:%H:%M}"
    near = {0: clock, 1: f"tomorrow {clock}", -1: f"yesterday {clock}"}
    day = date_format(local, "j M" if local.year == timezone.localdate().year else "j M Y")
    words = near.get(days) or f"{day} {clock}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), date_format(local, "r"), words
    )


@register.filter
def clock(at: datetime) -> SafeString:
    """A time to the second, for timelines; with its day where that is not today."""
    local = timezone.localtime(at)
    words = f"{local:%H:%M:%S}"
    if local.date() != timezone.localdate():
        words = f"{date_format(local, 'j M')} {words}"
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), words)


@register.filter
def of(key: object, table: dict[str, str]) -> str:
    """What the table holds for this key."""
    return table[str(key)]


@register.filter
def without_placeholders(text: str) -> str:
    """A text of the guide, which speaks of no domain and no obstacle in particular."""
    return text.replace("{domain}", "the recipient’s domain").replace("{obstacle}", "something")


@register.filter
def paragraphs(text: str) -> SafeString:
    """What somebody wrote, as paragraphs: escaped first, then line ends and links."""
    blocks = [block for block in text.replace("\r\n", "\n").split("\n\n") if block.strip()]
    return mark_safe(  # noqa: S308  (urlize with autoescape has escaped every letter)
        "".join(f"<p>{urlize(block, nofollow=True, autoescape=True)}</p>" for block in blocks).replace(
            "\n", "<br>"
        )
    )


@register.filter
def new_and_old(part: Part) -> tuple[str, str]:
    """What a customer wrote, and what the letter carries along. The first letter of a conversation is all new."""
    return without_history(part.body) if part.first_version > 1 else (part.body, "")


@register.filter
def files_beside(part: Part) -> list[Attachment]:
    """The files of a part, but for the pictures that its own frame shows."""
    return [file for file in part.attachments.all() if not file.is_inline]


@register.simple_tag
def icon(kind: str) -> SafeString:
    """The sign of a fate, so that colour never speaks alone; "" where it has none."""
    name = _ICONS.get(kind)
    if name is None:
        return SafeString("")
    return format_html('<svg width="12" height="12" aria-hidden="true"><use href="#{}"/></svg>', name)


@register.simple_tag
def tomorrow_morning() -> datetime:
    """Tomorrow at nine, in the reader's time zone."""
    return (timezone.localtime() + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
