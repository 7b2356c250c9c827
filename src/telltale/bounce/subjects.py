"""How the subject of a notice begins, and how that of an answer does, in the languages they come in."""

from __future__ import annotations

import re

# Many servers put the name of a host or of a list in front.
OF_A_NOTICE = re.compile(
    r"(?:undeliver(?:able|ed)\b|undelivered mail|non[- ]?deliver(?:y|able)|"
    r"delivery (?:status )?(?:notification|failure|failed|error|report|problem|has failed|unsuccessful|delay)|"
    r"mail (?:delivery|system) (?:failed|failure|error|problem|status|report)|mail delivery (?:sub)?system|"
    r"mail could not be delivered|mail failed|message (?:not delivered|undeliverable|delivery|could not be)|"
    r"failed mail|failure notice|failure delivery|failure notification|mail returned|returning message|"
    r"returned (?:mail|email|message|to sender)|could not (?:deliver|send)|couldn't deliver|unable to deliver|"
    r"not delivered|undelivered|rejected:|warning: (?:message|could not)|warning--could|delayed(?: mail|:)|"
    r"delivery delayed|delay(?:ed)? notification|processing error|error sending|bounced? mail|mail bounced|"
    r"address(?:ee)? (?:not found|unknown)|user unknown|"
    # German
    r"unzustellbar|nicht zustellbar|zustell(?:ung|fehler)|fehler (?:bei der|beim)|nachricht (?:nicht|konnte)|"
    # French
    r"non remis|non distribu|échec|echec (?:de|d'envoi)|retour(?:né)? |mail non|utilisateur non|"
    # Spanish
    r"no se (?:puede|pudo|ha podido)|no entregado|mensaje (?:no|devuelto)|correo (?:no|devuelto)|"
    r"error (?:de|en la) entrega|devuelto|"
    # Portuguese
    r"não (?:entregue|foi)|nao entregue|falha (?:na|de)|mensagem não|devolvid|"
    # Italian
    r"impossibile recapitare|non recapitabile|mancat[oa] (?:recapito|consegna)|messaggio non|"
    r"errore (?:di|nella) (?:consegna|recapito)|"
    # Dutch, and the north
    r"onbestelbaar|niet (?:bezorgd|afgeleverd)|kan niet|ikke levert|kunne ikke|kunde inte|"
    r"kan inte levereras|oleverbart|olevererat|ei voitu|"
    # Polish, Czech, Hungarian, Turkish
    r"nie(?:doręczon|dostarczon| można)|zwrot|nedoručiteln|nedoručen|kézbesíthetetlen|teslim edilemedi|"
    # Russian
    r"не(?:доставлен| доставлен| удалось| удается|доставка)|сообщение не|"
    r"отчет о (?:недоставке|доставке)|возврат|ошибка (?:доставки|отправки)|"
    # Japanese, Chinese, Korean
    r"配信(?:不能|エラー|できません)|送信(?:不能|エラー|できません)|"
    r"メール(?:送信|配信|システム)エラー|メールエラー|エラーメール|未達|"
    r"系统退信|系統退信|退信|未送达|无法(?:送达|投递)|無法(?:傳遞|投遞)|投递失败|"
    r"전송 ?실패|반송|배달)",
    re.IGNORECASE,
)
# "Re:", "Fwd:" and what mail programs of other countries make of them; a list may stand in front.
OF_A_PERSON = re.compile(
    r"\s*(?:\[[^\]]{1,60}\]\s*)?(?:re|aw|antw|sv|vs|odp|rv|res|r|fwd?|wg|tr|rif|i|enc|vb|doorst|vl|pd|ynt|ilt|fs|"
    r"回复|答复|转发|回覆|轉寄)(?:\[\d+\]|\(\d+\))?\s?[:：]",
    re.IGNORECASE,
)
