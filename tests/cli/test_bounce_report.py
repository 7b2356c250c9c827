"""`telltale bounce report`: what is counted, what is drawn, and that nobody's words become part of the page."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from telltale.bounce import knowledge
from telltale.cli import main
from telltale.cli.engine.report import charts, page, tally
from telltale.cli.engine.report.tally import Tally, tally_of
from telltale.cli.engine.sources import Letter
from telltale.mail.report import Action
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.cli.test_bounce_read import PERSON, POSTMARK, bounce

NOW = datetime(2026, 3, 9, 12, 30, tzinfo=UTC)
FULL = "452 4.2.2 mailbox full"
LISTED = "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"
COMPLAINT = b"""From: feedback@provider.example
To: desk@desk.example
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="lamp"

--lamp
Content-Type: text/plain

Spam.

--lamp
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Provider/1
Version: 1
Original-Rcpt-To: cleo@lamp.example

--lamp
Content-Type: message/rfc822

From: desk@desk.example
To: cleo@lamp.example
Subject: Offer

Buy.

--lamp--
"""
PILE = [
    bounce("ana@lamp.example"),
    bounce("ana@lamp.example", date="Tue, 3 Mar 2026 10:00:00 +0000"),
    bounce("bo@lamp.example", words=FULL, action="delayed", status="4.2.2"),
    bounce("dan@harbour.example", words=LISTED, status="5.7.1"),
    COMPLAINT,
    PERSON,
]


def counted(*mails: bytes) -> Tally:
    return tally_of(Letter(f"{number}.eml", mail) for number, mail in enumerate(mails))


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, its attributes, its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def drawn(total: Tally) -> Reader:
    return Reader(page.html_of(total, paths=["spool"], now=NOW))


# ── The command ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_tells_what_is_in_the_pile(tmp_path, capsys):
    (tmp_path / "spool").write_bytes(b"\n".join(POSTMARK + mail for mail in PILE))
    target = tmp_path / "bounces.html"

    assert main(["bounce", "report", str(tmp_path / "spool"), "--html", str(target)]) == 0

    said = f"Mails read: 6; refused for good: 3, for now: 1. The page is {target}\n"
    assert capsys.readouterr().out == said
    words = Reader(target.read_text(encoding="utf-8")).words
    for told in (
        f"6 mails in {tmp_path / 'spool'}, from 2 Mar 2026 to 3 Mar 2026.",
        "The mailbox does not exist",
        "550 5.1.1 no such user here",
        "The mailbox is full",
        "Spamhaus",
        "ana@lamp.example",
        "harbour.example",
        "1 complaint",
    ):
        assert told in words
    assert [path.name for path in tmp_path.iterdir()].count("bounces.html") == 1
    assert len(list(tmp_path.iterdir())) == 2  # and no half page beside it


def test_with_jobs_the_page_is_the_same(tmp_path):
    spool = tmp_path / "spool"
    spool.write_bytes(b"\n".join(POSTMARK + mail for mail in PILE * 30))
    pages = []
    for jobs in ("1", "2"):
        main(["bounce", "report", "--jobs", jobs, str(spool), "--html", str(tmp_path / "page")])
        pages.append((tmp_path / "page").read_text(encoding="utf-8").partition("<footer>")[0])

    assert pages[0] == pages[1]


def test_what_cannot_be_read_is_named_on_the_page(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken<b>.gz").write_bytes(b"\x1f\x8b")

    assert main(["bounce", "report", str(tmp_path / "in"), "--html", str(tmp_path / "page")]) == 1

    words = Reader((tmp_path / "page").read_text(encoding="utf-8")).words
    assert "1 file could not be read: " in words
    assert "broken<b>.gz (its gzip data are broken" in words


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "is a folder; name the file to write."),
        ("nowhere/page.html", "--html: there is no folder"),
        ("long" * 100, "File name too long."),
    ],
)
def test_where_no_page_can_be_written_it_is_said_before_the_work(
    target: str, said: str, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("telltale.cli.engine.sources.letters", lambda _: pytest.fail("the work has begun"))

    assert main(["bounce", "report", str(tmp_path), "--html", str(tmp_path / target)]) == 2

    assert said in capsys.readouterr().err


def test_a_page_that_is_there_stays_until_the_new_one_is_whole(tmp_path, capsys, monkeypatch):
    target = tmp_path / "page.html"
    target.write_text("the old one")
    (tmp_path / "one.eml").write_bytes(PERSON)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    assert main(["bounce", "report", str(tmp_path / "one.eml"), "--html", str(target)]) == 2

    assert "could not be written: No space left on device." in capsys.readouterr().err
    assert target.read_text() == "the old one"
    assert len(list(tmp_path.iterdir())) == 2


# ── What is counted ─────────────────────────────────────────────────────────────────────────────────────


def test_recipients_are_counted_by_reason_party_provider_and_day():
    total = counted(*PILE)

    assert (total.mails, total.failed, total.delayed) == (6, 3, 1)
    assert total.kinds == {"bounce": 3, "delayed": 1, "complaint": 1, "ordinary": 1}
    assert total.reasons["user_unknown", Action.FAILED] == 2
    assert total.reasons["mailbox_full", Action.DELAYED] == 1
    assert total.parties["recipient", Action.FAILED] == 2
    assert total.parties["us", Action.FAILED] == 1
    assert total.days["2026-03-03", Action.FAILED] == 1
    assert total.block_lists == {"Spamhaus": 1}
    assert sum(total.providers.values()) == 4


def test_an_address_has_its_history():
    total = counted(*PILE)

    ana = total.addresses["ana@lamp.example"]
    assert (ana.failed, ana.is_dead, ana.reason, ana.last_day) == (2, True, "user_unknown", "2026-03-03")
    assert not total.addresses["bo@lamp.example"].is_dead
    assert total.addresses["cleo@lamp.example"].complaints == 1
    assert total.domains["lamp.example"].failed == 2


def test_an_address_is_dead_by_its_last_failure_in_whatever_order_they_are_read():
    gone = bounce(date="Mon, 2 Mar 2020 10:00:00 +0000")
    full = bounce(words="552 5.2.2 mailbox full", status="5.2.2", date="Mon, 2 Mar 2026 10:00:00 +0000")

    for mails in ([gone, full], [full, gone]):
        ana = counted(*mails).addresses["ana@lamp.example"]
        assert (ana.is_dead, ana.reason, ana.failed) == (False, "mailbox_full", 2)


def test_tallies_of_portions_make_the_tally_of_the_whole():
    whole, sum_of_portions = counted(*PILE), Tally()
    for mail in PILE:
        sum_of_portions.add(counted(mail))

    assert sum_of_portions == whole


def test_names_are_bounded_and_the_worst_ones_stay(monkeypatch):
    monkeypatch.setattr(tally, "MOST_NAMES", 10)
    total = Tally()
    for number in range(100):
        total.add(counted(bounce("worst@lamp.example"), bounce(f"ana{number}@host{number}.example")))

    assert total.addresses["worst@lamp.example"].failed == 100
    assert len(total.addresses) <= 20
    assert len(total.domains) <= 20
    assert total.failed == 200
    assert "may be too low" in drawn(total).words


@pytest.mark.parametrize(
    ("header", "day"),
    [
        (
            b"Received: by a; Mon, 2 Mar 2026 10:00:00 +0000\nReceived: by b; Sun, 1 Mar 2026 10:00:00 +0000\n",
            "2026-03-02",
        ),
        (b"Date: Mon, 2 Mar 2026 23:59:59 +1200\n", "2026-03-02"),
        (b"Received: by a; yesterday\nDate: Mon, 2 Mar 2026 10:00:00 +0000\n", "2026-03-02"),
        (b"Date: Mon, 2 Mar 1970 10:00:00 +0000\n", ""),
        (b"Date: Mon, 30 Feb 2026 10:00:00 +0000\n", ""),
        (b"Date: " + b"9" * 5_000 + b" Mar 2026\n", ""),
        (b"Subject: none\n", ""),
        (b"", ""),
    ],
)
def test_the_day_is_that_of_our_own_server_else_of_the_date(header: bytes, day: str):
    assert tally.day_of(header + b"\nbody") == day


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("gmail-smtp-in.l.google.com", "Google"),
        ("mx1.harbour.example", "harbour.example"),
        ("mx1.mail.harbour.co.uk", "harbour.co.uk"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_hosts_of_one_house_are_counted_together(host: str, provider: str):
    mail = bounce().replace(b"mx.lamp.example", host.encode())

    assert [name for name, _, _ in counted(mail).providers] == [provider]


# ── The page ────────────────────────────────────────────────────────────────────────────────────────────


def test_words_of_strangers_stay_words():
    evil = "</style></pre><script>alert(1)</script><img src=x onerror=alert(1)>\x1b\u202e"
    mails = [
        bounce(f'"{evil}"@lamp.example', words=f"550 5.1.1 {evil}"),
        bounce(f"ana@{evil}"),
        bounce().replace(b"mx.lamp.example", evil.encode()),
    ]
    total = counted(*mails)
    total.oddities[evil] += 1
    total.block_lists[evil] += 1
    total.add(tally_of([Letter(evil, error=evil)]))

    html = page.html_of(total, paths=[evil], now=NOW)

    reader = Reader(html)
    assert reader.elements["script"] == reader.elements["img"] == 0
    assert reader.elements["style"] == 1
    assert not any(name.startswith("on") or name in ("src", "href", "style") for name, _ in reader.attributes)
    assert reader.words.count("<script>alert(1)</script>") >= 6
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_the_page_loads_nothing_and_says_so():
    html = page.html_of(counted(*PILE), paths=["spool"], now=NOW)

    assert "default-src 'none'" in html
    assert not {"script", "link", "img", "iframe"} & set(Reader(html).elements)
    assert "url(" not in html
    assert "--accent: light-dark(" in html  # the desk's own colours


def test_every_reason_of_the_vocabulary_can_be_drawn():
    total = Tally()
    for number, name in enumerate(knowledge.reasons(), start=1):
        total.reasons[name, Action.FAILED] = number

    reader = drawn(total)

    for reason in knowledge.reasons().values():
        assert reason.title in reader.words
    assert "{domain}" not in reader.words
    assert f"{len(knowledge.reasons()) - page.MOST_REASONS} rarer reasons" in reader.words


def test_an_empty_pile_has_a_page():
    words = drawn(Tally()).words

    assert "0 mails in spool." in words
    assert "Nothing was refused." in words


def test_charts_say_in_words_what_they_show():
    spoken = [value for name, value in drawn(counted(*PILE)).attributes if name == "aria-label"]

    assert (
        "Bars from 2 Mar 2026 to 3 Mar 2026: 3 failed and 1 delayed in all. The highest is 2 Mar 2026 with 3."
        in spoken
    )
    assert "failed 2" in spoken
    assert "Us 1, The recipient 3" in spoken


@pytest.mark.parametrize(
    ("days", "number", "first", "last"),
    [
        (1, 1, "2 Mar 2016", "2 Mar 2016"),
        (130, 130, "2 Mar 2016", "9 Jul 2016"),
        (131, 19, "29 Feb 2016", "4 Jul 2016"),  # weeks begin on Monday
        (1_000, 33, "Mar 2016", "Nov 2018"),
        (3_653, 121, "Mar 2016", "Mar 2026"),
        (30_000, 83, "2016", "2098"),
    ],
)
def test_time_is_cut_as_finely_as_there_is_room_for(days: int, number: int, first: str, last: str):
    start = date(2016, 3, 2)
    counts = {start + timedelta(days=day): (1, 2) for day in range(days)}

    bars = charts.bars_of(counts)

    assert (len(bars), bars[0].name, bars[-1].name) == (number, first, last)
    assert (sum(bar.failed for bar in bars), sum(bar.delayed for bar in bars)) == (days, 2 * days)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.browser
def test_the_page_fits_a_phone_and_a_desk_in_light_and_dark(tmp_path):
    from playwright.sync_api import sync_playwright

    long = bounce(f"{'ana.' * 40}@{'lamp.' * 20}example", words=f"550 5.1.1 {'word' * 100}")
    target = tmp_path / "page.html"
    target.write_text(
        page.html_of(counted(*PILE, long), paths=["/a/long/path" * 20], now=NOW), encoding="utf-8"
    )
    backgrounds = set()
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page()
        opened.on("console", lambda message: faults.append(message.text))
        opened.goto(target.as_uri())
        opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for width in (320, 400, 1440):
            opened.set_viewport_size({"width": width, "height": 900})
            assert opened.evaluate("document.documentElement.scrollWidth") == width
        for scheme in ("light", "dark"):
            opened.emulate_media(color_scheme=scheme)
            backgrounds.add(opened.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert len(backgrounds) == 2
    assert faults == []
