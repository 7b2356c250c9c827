"""What one try came to, as the columns of its Attempt."""

from __future__ import annotations

from typing import Any

from telltale.smtp.session import AttemptResult


def as_columns(result: AttemptResult, provider: str) -> dict[str, Any]:
    """The evidence of a try, fit for the database: short fields as far as they fit, the transcript whole."""
    return {
        "ended_at": result.ended_at,
        "outcome": result.outcome.value,
        "stage": result.stage.value,
        "remote_host": result.remote_host[:253],
        "remote_ip": result.remote_ip or None,
        "tls_version": result.tls_version,
        "tls_verified": result.tls_verified,
        "tls_cipher": result.tls_cipher[:64],
        "tls_verification": without_nul(result.tls_verification),
        "bytes_sent": result.bytes_sent,
        "provider": provider[:255],
        "queue_id": without_nul(result.queue_id)[:255],
        "reply": without_nul(str(result.reply)) if result.reply else "",
        "transcript": [
            [line.at.isoformat(timespec="milliseconds"), line.who, without_nul(line.text)]
            for line in result.transcript
        ],
    }


def without_nul(text: str) -> str:
    """PostgreSQL stores no NUL; it stands as its escape, so that no octet is lost."""
    return text.replace("\0", "\\x00")
