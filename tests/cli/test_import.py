"""`telltale import`: years of mail become closed conversations, in order, once, whatever happens on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from telltale.cli import main
from telltale.conversations.models import Address, Conversation, Mailbox, Part, RawMail
from telltale.inbound import importing, reading

pytestmark = pytest.mark.django_db
MAILBOX = "support@lamp.example"


def mail(
    number: int,
    *,
    day: int = 1,
    sender: str = "Ana <ana@oldworks.example>",
    to: str = MAILBOX,
    answers: int = 0,
    more: str = "",
) -> bytes:
    answering = f"In-Reply-To: <m{answers}@old.example>\r\n" if answers else ""
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Lamp\r\nMessage-ID: <m{number}@old.example>\r\n{answering}{more}"
        f"Date: {day:02} Mar 2021 10:00:00 +0100\r\n\r\nmail {number}\r\n"
    ).encode()


def ours(number: int, **how) -> bytes:
    return mail(number, sender=f"Support <{MAILBOX}>", to="ana@oldworks.example", **how)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path


def write(folder: Path, *mails: bytes) -> str:
    """As .eml files, named in that order."""
    for number, octets in enumerate(mails):
        (folder / f"{number}.eml").write_bytes(octets)
    return str(folder)


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(["import", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def bodies() -> list[str]:
    return list(Part.objects.order_by("pk").values_list("body", flat=True))


def test_mail_becomes_closed_conversations_with_its_own_dates_in_the_order_of_these(mailbox, folder, capsys):
    write(folder, mail(3, day=9), mail(2, day=5, answers=1), mail(1, day=3))

    code, said, _ = run(capsys, str(folder))

    assert (code, said) == (0, "3 mails taken, 0 here already.\n  messages: 3\n")
    older, newer = Conversation.objects.order_by("created_at")
    assert list(older.parts.values_list("body", flat=True)) == ["mail 1", "mail 2"]
    assert (older.state, f"{older.created_at:%Y-%m-%d}", f"{older.updated_at:%Y-%m-%d}") == (
        "closed",
        "2021-03-03",
        "2021-03-05",
    )
    assert [f"{part.created_at:%Y-%m-%d %H:%M}" for part in newer.parts.all()] == ["2021-03-09 09:00"]
    address = Address.objects.get()
    assert (address.contact.name, f"{address.contact.created_at:%Y-%m-%d}") == ("Ana", "2021-03-03")
    assert f"{address.last_heard_at:%Y-%m-%d}" == "2021-03-09"
    assert {raw.fate for raw in RawMail.objects.all()} == {RawMail.Fate.MESSAGE}


def test_a_second_time_nothing_is_there_twice(mailbox, folder, capsys):
    write(folder, mail(1), mail(2, day=2, answers=1))
    run(capsys, str(folder))

    assert run(capsys, str(folder))[1] == "0 mails taken, 2 here already.\n"
    assert bodies() == ["mail 1", "mail 2"]


@pytest.mark.parametrize("step", ["keep", "import_message"])
def test_broken_off_anywhere_and_given_again_it_is_whole(mailbox, folder, capsys, monkeypatch, step):
    write(folder, mail(1), mail(2, day=2, answers=1), mail(3, day=3, answers=2))
    calls = []

    real = getattr(importing, step)

    def killed(*words, **names):
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*words, **names)

    with monkeypatch.context() as broken:
        broken.setattr(importing, step, killed)
        run(capsys, str(folder))
    assert not reading.read_next()  # what is half done is nothing for the process that reads

    code, _, _ = run(capsys, str(folder))

    assert code == 0
    assert bodies() == ["mail 1", "mail 2", "mail 3"]
    assert Conversation.objects.count() == 1


def test_an_mbox_is_read_and_its_postmarks_are_no_part_of_the_mail(mailbox, folder, capsys):
    box = folder / "old.mbox"
    box.write_bytes(b"".join(b"From ana Mon Mar  1 10:00:00 2021\n" + mail(n, day=n) + b"\n" for n in (1, 2)))

    assert run(capsys, str(box))[1].startswith("2 mails taken")
    with RawMail.objects.order_by("pk")[0].content.open("rb") as file:
        assert file.read().startswith(b"From: Ana")


def test_a_maildir_is_read(mailbox, folder, capsys):
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir()
    (folder / "cur" / "1:2,S").write_bytes(mail(1))
    (folder / "tmp" / "2").write_bytes(mail(2))

    assert run(capsys, str(folder))[1] == "1 mail taken, 0 here already.\n  messages: 1\n"


def test_what_we_sent_is_left_out_until_somebody_says_who_wrote_it(mailbox, agent, folder, capsys):
    write(folder, mail(1), ours(2, day=2, answers=1), mail(3, day=3, answers=2))
    _, said, _ = run(capsys, str(folder))
    assert "sent by ourselves, left out: 1" in said

    Conversation.objects.all().delete()
    RawMail.objects.exclude(fate_reason=importing.BY_OURSELVES).delete()
    _, said, _ = run(capsys, str(folder), "--replies-by", "maya@lamp.example")

    assert "replies: 1" in said
    kinds = list(Part.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["customer_message", "reply", "customer_message"]
    assert Part.objects.get(kind="reply").agent == agent
    assert Conversation.objects.count() == 1


def test_what_we_began_is_a_conversation_with_whom_we_wrote_to(mailbox, agent, folder, capsys):
    write(folder, ours(1), ours(2).replace(b"ana@oldworks.example", MAILBOX.encode()))

    _, said, _ = run(capsys, str(folder), "--replies-by", "maya@lamp.example")

    assert "of nobody outside: 1" in said
    assert str(Conversation.objects.get().contact) == "ana@oldworks.example"


def test_reports_and_answers_of_machines_change_nothing(mailbox, folder, capsys):
    write(
        folder,
        mail(1, more="Auto-Submitted: auto-replied\r\n"),
        mail(2).replace(b"From: Ana <ana@oldworks.example>\r\n", b""),
    )

    _, said, _ = run(capsys, str(folder))

    assert "of machines: 1" in said
    assert "without a sender: 1" in said
    assert not Conversation.objects.exists()


def test_a_date_that_cannot_be_is_when_it_was_imported(mailbox, folder, capsys):
    write(
        folder,
        mail(1).replace(b"2021", b"2921"),
        mail(2).replace(b"Date: 01 Mar 2021 10:00:00 +0100", b"Date: soon"),
    )

    run(capsys, str(folder))

    assert {part.created_at == part.raw_mail.received_at for part in Part.objects.all()} == {True}


def test_with_open_the_conversations_are_to_be_worked_on(mailbox, folder, capsys):
    run(capsys, write(folder, mail(1)), "--open")

    assert Conversation.objects.get().state == "open"


def test_old_mail_does_not_get_between_the_messages_of_today(conversation, folder, capsys):
    part = conversation.parts.first()
    Part.objects.filter(pk=part.pk).update(message_id="<m1@old.example>")

    run(capsys, write(folder, mail(2, answers=1)))

    assert Conversation.objects.count() == 2
    assert conversation.parts.count() == 1


def test_what_cannot_be_read_is_named_and_the_rest_is_taken(mailbox, folder, capsys):
    write(folder, mail(1))
    (folder / "broken.gz").write_bytes(b"\x1f\x8bno gzip")

    code, said, errors = run(capsys, str(folder))

    assert code == 1
    assert "1 mail taken" in said
    assert "broken.gz: " in errors


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "There is no file or folder 'nowhere'."),
        (
            ["--mailbox", "x@y.example", "."],
            "There is no mailbox x@y.example. The desk has: support@lamp.example.",
        ),
        (
            ["--replies-by", "x@y.example", "."],
            "There is no agent x@y.example. The desk has: maya@lamp.example.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(mailbox, agent, folder, capsys, monkeypatch, words, sentence):
    monkeypatch.chdir(folder)
    code, _, errors = run(capsys, *words)

    assert (code, errors.strip()) == (2, sentence)


def test_with_several_mailboxes_one_has_to_be_named(mailbox, folder, capsys):
    Mailbox.objects.create(name="Sales", address="sales@lamp.example")

    code, _, errors = run(capsys, write(folder, mail(1)))
    assert (code, "Say which mailbox with --mailbox" in errors) == (2, True)

    assert run(capsys, str(folder), "--mailbox", "SALES@lamp.example")[0] == 0
    assert Conversation.objects.get().mailbox.address == "sales@lamp.example"
