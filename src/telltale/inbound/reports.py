"""What came back because of our mail: which delivery it is about, how we know that, and what follows.

Trust: what came to a return path that we signed, or names an envelope id that we signed, is proven. What encloses our
mail is told as not proven. Nothing weaker changes anything.
"""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from telltale.bounce import Kind, Returned
from telltale.conversations.actions import add_event, advance, announce, touch_health
from telltale.conversations.models import RawMail
from telltale.delivery.models import Delivery
from telltale.delivery.reports import record_heard
from telltale.inbound.store import OF_REPORTS
from telltale.mail.courtesy import back_on
from telltale.mail.letter import Letter, read_letter
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.mail.return_path import ReturnPath, verify
from telltale.mail.signing import Fault

TOLD = [Action.RELAYED, Action.DELIVERED, Action.DELAYED, Action.FAILED]  # the gravest last
ALARMS = [Action.DELAYED, Action.FAILED]
CAME_BACK = {
    Kind.AUTOREPLY: "An automatic answer came back",
    Kind.READ_RECEIPT: "A read receipt came back",
    Kind.COMPLAINT: "A complaint came back: this reply was called spam",
    Kind.ORDINARY: "Mail that is no report we can read came back",
}
MOST_WORDS = 4_000  # characters of a bounce that we cannot take apart
MOST_SUBJECT = 120  # characters
MOST_REASON = 255  # characters


def proof_of(mail: RawMail) -> ReturnPath | Fault:
    return verify(mail.rcpt_to, keys=settings.RETURN_PATH_KEYS, now=timezone.now())


def _proof_by_envelope_id(returned: Returned) -> ReturnPath | Fault:
    """A relay that puts its own return path in the place of ours passes the envelope id on: RFC 3461 section 4.4.

    Ours is the signed local part, and proves as much there as in an address: who knows it was given the mail.
    """
    envelope_id = f"{returned.keys.original_envelope_id}@"
    return verify(envelope_id, keys=settings.RETURN_PATH_KEYS, now=timezone.now())


def delivery_of(mail: RawMail) -> Delivery | None:
    """The delivery whose signed return path this mail came to."""
    return _delivery_with(proof_of(mail))


def _delivery_with(proof: ReturnPath | Fault) -> Delivery | None:
    if not isinstance(proof, ReturnPath):
        return None
    return Delivery.objects.select_related("message__part").filter(pk=proof.delivery_id).first()


def take_report(
    mail: RawMail, returned: Returned, content: bytes, delivery: Delivery
) -> tuple[RawMail.Fate, str]:
    """Whatever comes to a return path that we signed came back because of that delivery: its people learn of it."""
    if returned.kind not in OF_REPORTS:
        if returned.kind == Kind.COMPLAINT:
            remember_complaint(delivery)
        letter = read_letter(content)
        what = with_return(CAME_BACK[returned.kind], returned.kind, letter)
        tell(delivery, what, about=letter.subject, mail=mail, words=letter.text)
        return RawMail.Fate.REPORT, f"delivery {delivery.pk}: {returned.kind}"
    if reason := _is_about_another(returned, delivery):
        tell(delivery, "A report came back that does not fit this delivery", about=reason, mail=mail)
        return RawMail.Fate.QUARANTINED, reason[:MOST_REASON]
    for report in _reports(returned, delivery, content):
        record_heard(delivery, report, heard=mail, proven=True)
    return RawMail.Fate.REPORT, f"delivery {delivery.pk}: {returned.kind}"


def with_return(what: str, kind: Kind, letter: Letter) -> str:
    """The same with the day on which somebody is back, where an automatic answer says it."""
    when = back_on(letter.text, today=timezone.localdate()) if kind == Kind.AUTOREPLY else ""
    return f"{what} ({when})" if when else what


def _is_about_another(returned: Returned, delivery: Delivery) -> str:
    """Why these reports are not about this delivery; "" where they are.

    A report may name an address that the recipient forwards to: then it encloses our mail, or its header.
    """
    if not returned.reports or delivery.message.message_id in returned.keys.message_ids:
        return ""
    named = [address for report in returned.reports for address in _named(report)]
    if not named or delivery.recipient.lower() in named:
        return ""
    return f"reports on {named[0]}, not on {delivery.recipient}, and does not return our mail"


def _named(report: RecipientReport) -> list[str]:
    addresses = (report.final_recipient, report.original_recipient)
    return [address.lower() for address in addresses if address]


def _reports(returned: Returned, delivery: Delivery, content: bytes) -> list[RecipientReport]:
    """What it says of recipients, the gravest last, so that it stands.

    A bounce that names none can only mean the one recipient of its delivery.
    """
    if returned.reports:
        told = [report for report in returned.reports if report.action in TOLD]
        return sorted(told, key=lambda report: TOLD.index(report.action))
    words = read_letter(content).text[:MOST_WORDS]
    return [
        RecipientReport(delivery.recipient, OF_REPORTS[returned.kind], diagnostic_code=Diagnostic("", words))
    ]


def tell(delivery: Delivery, what: str, *, about: str, mail: RawMail | None = None, words: str = "") -> None:
    """No report, but it came back because of this reply: an out-of-office note, or a bounce that we cannot read."""
    conversation = advance(delivery.message.part.conversation_id)
    said = f"{what} ({delivery.recipient}): “{about[:MOST_SUBJECT]}”"
    add_event(conversation, said, raw_mail=mail, folded=words)
    announce(conversation, "delivery.answered", delivery=delivery.pk)


def take_report_elsewhere(
    mail: RawMail, returned: Returned, content: bytes
) -> tuple[RawMail.Fate, str] | None:
    """A report that did not come to our return path; None where it matches nothing."""
    proof = _proof_by_envelope_id(returned)
    if delivery := _delivery_with(proof):
        return take_report(mail, returned, content, delivery)
    if proof in (Fault.FORGED, Fault.EXPIRED):
        return RawMail.Fate.QUARANTINED, f"its envelope id is none of ours: {proof}"
    return (
        _take_complaint(mail, returned) if returned.kind == Kind.COMPLAINT else _take_unproven(mail, returned)
    )


def _take_unproven(mail: RawMail, returned: Returned) -> tuple[RawMail.Fate, str] | None:
    """A report that encloses our mail, as it comes where our return path was replaced: Google and Microsoft put an
    account's address there. Whoever was sent that mail could have written it, so it is told as "not proven",
    and may raise an alarm but not silence one.
    """
    deliveries = _enclosed_deliveries(returned)
    told = []
    for report in returned.reports:
        found = [deliveries[address] for address in _named(report) if address in deliveries]
        if found and report.action in ALARMS:
            record_heard(found[0], report, heard=mail, proven=False)
            told.append(found[0].pk)
    if not told:
        return None
    return RawMail.Fate.REPORT, f"delivery {', '.join(map(str, told))}: {returned.kind}, not proven"[
        :MOST_REASON
    ]


def _enclosed_deliveries(returned: Returned) -> dict[str, Delivery]:
    """Those of the mails of ours that it encloses, by their recipients in lower case."""
    found = Delivery.objects.filter(message__message_id__in=returned.keys.message_ids)
    return {delivery.recipient.lower(): delivery for delivery in found.select_related("message__part")}


def _take_complaint(mail: RawMail, returned: Returned) -> tuple[RawMail.Fate, str] | None:
    """A complaint in a feedback loop (RFC 5965). Many hide who complained: then a mail to one recipient tells."""
    deliveries = _enclosed_deliveries(returned)
    named = [address for report in returned.reports for address in _named(report)]
    found = [deliveries[address] for address in named if address in deliveries]
    if not found and len(deliveries) == 1:
        found = list(deliveries.values())
    if not found:
        return None
    remember_complaint(found[0])
    tell(found[0], CAME_BACK[Kind.COMPLAINT], about="not proven, by the mail that it encloses", mail=mail)
    return RawMail.Fate.REPORT, f"delivery {found[0].pk}: complaint, not proven"


def remember_complaint(delivery: Delivery) -> None:
    """Somebody called our mail spam: whoever writes to them next should know."""
    touch_health(delivery.recipient, complained_at=timezone.now())
