"""Reading one mail that came in: what it is, and what it says of each recipient."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

from telltale.bounce.returned import Keys, Kind, Returned
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.mail.status import EnhancedStatus


def read(raw: bytes) -> Returned:
    message = message_from_bytes(raw)
    for part in message.walk():
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status"):
            reports = tuple(r for r in (_report(g) for g in part.get_payload()) if r)
            actions = {r.action for r in reports}
            kind = Kind.BOUNCE if Action.FAILED in actions else Kind.DELAYED if Action.DELAYED in actions else Kind.DELIVERED
            return Returned(kind, reports)
    if message.get("Auto-Submitted", "no").lower().startswith("auto-replied"):
        return Returned(Kind.AUTOREPLY)
    return Returned(Kind.ORDINARY)


def _report(group: Message) -> RecipientReport | None:
    if "Final-Recipient" not in group or "Action" not in group:
        return None
    d = " ".join(str(group.get("Diagnostic-Code", "")).split("\n"))
    t, _, text = d.partition(";")
    return RecipientReport(
        final_recipient=str(group["Final-Recipient"]).partition(";")[2].strip(),
        action=Action(str(group["Action"]).strip().lower()),
        status=EnhancedStatus.parse(str(group.get("Status", "")).strip()),
        diagnostic_code=Diagnostic(t.strip().lower(), " ".join(text.split())),
        remote_mta=str(group.get("Remote-MTA", "")).partition(";")[2].strip(),
    )
