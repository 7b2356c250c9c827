"""Exchange 2007 and newer, Microsoft 365: the part for administrators has the address and the reply to it.

Its headings come in the language of the mailbox; the part itself has the same shape in all of them.
"""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import entries
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

_FOR_ADMINISTRATORS = (
    "diagnostic information for administrators",
    "diagnoseinformationen für administratoren",
    "informations de diagnostic pour les administrateurs",
    "información de diagnóstico para administradores",
    "informazioni di diagnostica per gli amministratori",
    "informações de diagnóstico para administradores",
    "diagnostische gegevens voor beheerders",
    "informacje diagnostyczne dla administratorów",
    "diagnostikinformation för administratörer",
    "diagnosticeringsoplysninger for administratorer",
    "diagnostikkinformasjon for administratorer",
    "diagnostické informace pro správce",
    "диагностические сведения для администраторов",
    "管理者向けの診断情報",
    "管理者用の診断情報",
    "管理员的诊断信息",
    "系統管理員的診斷資訊",
    "관리자를 위한 진단 정보",
)
_RECIPIENTS = (
    "delivery has failed to these recipients",
    "fehler bei der nachrichtenzustellung an folgende empfänger",
    "zustellung an diese empfänger",
    "échec de la remise à ces destinataires",
    "no se pudo entregar a estos destinatarios",
    "il recapito non è riuscito per i seguenti destinatari",
    "falha na entrega a estes destinatários",
    "uw bericht kan niet worden bezorgd",
    "не удалось выполнить доставку следующим получателям",
    "次の受信者またはグループへの配信",
    "未能向这些收件人或组传递邮件",
)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    if any(heading in notice.lower for heading in _FOR_ADMINISTRATORS):
        found = entries(_recipients_only(below(notice, *_FOR_ADMINISTRATORS)))
        if found:
            return reports(notice, found, speaker)
    return reports(notice, entries(below(notice, *_RECIPIENTS)), speaker)


def _recipients_only(lines: list[str]) -> list[str]:
    """Without the host that generated the notice and without folded tails of the reply."""
    return [
        line for line in lines if not line.lower().startswith(("generating server", "generierender server"))
    ]


DIALECT = Dialect(name="microsoft", signs=(*_FOR_ADMINISTRATORS, *_RECIPIENTS), read=_read)
