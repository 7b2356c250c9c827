"""Recording many acceptances at once: the common case, in four statements for a whole batch.

An acceptance that needs more than "it was taken" (a note to close, a bounce that was quicker, a lease that was
lost, an address or a provider that was thought dead) is left to `queue.record_result`, which does them one by one.
SQL by hand, since these statements run for every mail that leaves: bench/deliver.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from telltale.delivery import incidents
from telltale.delivery.attempts import as_columns
from telltale.delivery.claims import Claim
from telltale.delivery.destinations import Answered, hear
from telltale.events.bell import CHANGES
from telltale.smtp.session import AttemptResult


@dataclass(frozen=True, slots=True)
class Acceptance:
    claim: Claim
    result: AttemptResult

    @property
    def provider(self) -> str:
        return incidents.provider_of(self.result.remote_host, self.claim.domain)


@transaction.atomic
def record_acceptances(batch: Mapping[int, Acceptance]) -> set[int]:
    """Record these answers by attempt, all or nothing. Returns the attempts that it left to `record_result`."""
    versions = _lock_conversations(batch.values())
    ours = _without_history(batch.values())
    simple = [acceptance for acceptance in batch.values() if acceptance.claim.delivery_id in ours]
    if simple:
        _settle(simple, versions)
        heard = {one.claim.destination: Answered(one.provider, one.result.size_limit) for one in simple}
        hear(heard, took_one=True)
    return {pk for pk, acceptance in batch.items() if acceptance.claim.delivery_id not in ours}


# In one order, so that two batches never wait for each other in a ring.
_LOCK = "SELECT id, version + 1 FROM conversations_conversation WHERE id = ANY(%s) ORDER BY id FOR UPDATE"


def _lock_conversations(batch: Iterable[Acceptance]) -> dict[int, int]:
    """Their next versions."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted({acceptance.claim.conversation_id for acceptance in batch})])
        return dict(cursor.fetchall())


_WITHOUT_HISTORY = """
SELECT delivery.id FROM delivery_delivery AS delivery
JOIN unnest(%(attempts)s::bigint[], %(providers)s::text[]) AS answer(attempt, provider) ON true
JOIN delivery_attempt AS attempt ON attempt.id = answer.attempt AND attempt.delivery_id = delivery.id
WHERE delivery.id = ANY(%(deliveries)s) AND delivery.state = 'sending' AND attempt.ended_at IS NULL
  AND NOT EXISTS (
    SELECT FROM delivery_deliverynote AS note WHERE note.delivery_id = delivery.id AND note.closed_at IS NULL)
  AND NOT EXISTS (
    SELECT FROM delivery_report AS report
    WHERE report.delivery_id = delivery.id AND report.source IN ('dsn', 'service'))
  AND NOT EXISTS (
    SELECT FROM conversations_address AS address
    WHERE lower(address.email) = lower(delivery.recipient) AND address.dead_since IS NOT NULL)
  AND NOT EXISTS (
    SELECT FROM delivery_incident AS incident
    WHERE incident.provider = answer.provider AND incident.closed_at IS NULL)
ORDER BY delivery.id FOR UPDATE OF delivery
"""


def _without_history(batch: Iterable[Acceptance]) -> set[int]:
    """Those deliveries that are still in our hands, and about which nobody has said anything else."""
    values: dict[str, Any] = {
        "attempts": [acceptance.claim.attempt_id for acceptance in batch],
        "providers": [acceptance.provider for acceptance in batch],
        "deliveries": [acceptance.claim.delivery_id for acceptance in batch],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_HISTORY, values)
        return {pk for (pk,) in cursor.fetchall()}


_SETTLE = """
WITH answer AS (
    SELECT * FROM jsonb_to_recordset(%(answers)s) AS answer(
        attempt bigint, delivery bigint, ended_at timestamptz, outcome text, stage text, remote_host text,
        remote_ip inet, tls_version text, tls_verified boolean, tls_cipher text, tls_verification text,
        bytes_sent bigint, provider text, queue_id text, reply text, transcript jsonb)
), attempts AS (
    UPDATE delivery_attempt AS attempt
    SET ended_at = answer.ended_at, outcome = answer.outcome, stage = answer.stage,
        remote_host = answer.remote_host, remote_ip = answer.remote_ip, tls_version = answer.tls_version,
        tls_verified = answer.tls_verified, tls_cipher = answer.tls_cipher,
        tls_verification = answer.tls_verification, bytes_sent = answer.bytes_sent, provider = answer.provider,
        queue_id = answer.queue_id, reply = answer.reply, transcript = answer.transcript
    FROM answer WHERE attempt.id = answer.attempt
), deliveries AS (
    UPDATE delivery_delivery
    SET state = 'accepted', next_attempt_at = NULL, lease_until = NULL, lease_owner = NULL,
        settled_at = now()
    WHERE id IN (SELECT delivery FROM answer)
), addresses AS (
    UPDATE conversations_address SET last_accepted_at = now() WHERE lower(email) = ANY(%(recipients)s)
), conversations AS (
    UPDATE conversations_conversation SET version = version + 1 WHERE id = ANY(%(conversations)s)
    RETURNING id, version
), parts AS (
    UPDATE conversations_part AS part SET version = conversations.version
    FROM conversations
    WHERE conversations.id = part.conversation_id AND (
        part.id = ANY(%(parts)s) OR part.id IN (
            SELECT note.part_id FROM delivery_outgoingmessage AS message
            JOIN delivery_delivery AS sibling ON sibling.message_id = message.id
            JOIN delivery_deliverynote AS note ON note.delivery_id = sibling.id
            WHERE message.part_id = ANY(%(parts)s) AND note.closed_at IS NULL))
), events AS (
    INSERT INTO events_event (name, ids, at)
    SELECT 'delivery.changed', bell -> 'ids', now() FROM jsonb_array_elements(%(bells)s) AS bell
)
SELECT pg_notify(%(channel)s, bell::text) FROM jsonb_array_elements(%(bells)s) AS bell
"""


def _settle(simple: list[Acceptance], versions: Mapping[int, int]) -> None:
    """Evidence, states, health, versions and bells; the open notes beside a reply are shown anew with it."""
    claims = [acceptance.claim for acceptance in simple]
    values: dict[str, Any] = {
        "answers": json.dumps([_answer(acceptance) for acceptance in simple]),
        "recipients": [claim.recipient.lower() for claim in claims],
        "conversations": [claim.conversation_id for claim in claims],
        "parts": [claim.part_id for claim in claims],
        "bells": json.dumps([_bell(claim, versions[claim.conversation_id]) for claim in claims]),
        "channel": CHANGES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, values)


def _answer(acceptance: Acceptance) -> dict[str, Any]:
    columns = as_columns(acceptance.result, acceptance.provider)
    columns["ended_at"] = acceptance.result.ended_at.isoformat()
    return {**columns, "attempt": acceptance.claim.attempt_id, "delivery": acceptance.claim.delivery_id}


def _bell(claim: Claim, version: int) -> dict[str, Any]:
    ids = {"conversation": claim.conversation_id, "version": version, "delivery": claim.delivery_id}
    return {"topics": ["inbox", f"conversation-{claim.conversation_id}"], "ids": ids}
