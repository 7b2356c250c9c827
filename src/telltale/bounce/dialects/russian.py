"""Mail.ru, Yandex, Rambler in Russian: the address on a line, the reply below it."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

DIALECT = Dialect(
    name="russian",
    signs=(
        "создано автоматически сервером mail.ru",
        "ваше письмо не может быть",
        "письмо не было доставлено",
        "не удалось доставить",
        "сообщение не доставлено",
        "не может быть доставлено",
    ),
    read=listed_below(
        "следующим", "получателям", "не может быть", "не удалось", "не доставлено", "не было доставлено"
    ),
)
