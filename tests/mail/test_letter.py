"""What a person wrote, read out of the mails that the world sends."""

from __future__ import annotations

from base64 import b64encode

import pytest

from telltale.mail.letter import MOST_TEXT, read_letter

HEADER = b"From: ana@oldworks.example\r\nSubject: Refund\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"


def mail(*lines: str | bytes) -> bytes:
    return b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines)


def of_html(html: str) -> str:
    return read_letter(HEADER + HTML + html.encode()).text


def in_parts(kind: str, *parts: str) -> str:
    """A multipart's header and body; each part is its own header and body."""
    inner = "".join(f"--{kind}-b\r\n{part}\r\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary={kind}-b\r\n\r\n{inner}--{kind}-b--\r\n"


PLAIN = "Content-Type: text/plain\r\n\r\nplain words"
RICH = "Content-Type: text/html\r\n\r\n<p>rich words"


def text_of(body: str) -> str:
    return read_letter(HEADER + body.encode()).text


def test_a_letter_has_its_sender_subject_text_and_what_it_answers():
    letter = read_letter(
        mail(
            "From: Ana Ribeiro <ana@oldworks.example>",
            "Subject: Re: Refund",
            "Message-ID: <2@oldworks.example>",
            "In-Reply-To: <1@lamp.example>",
            "References: <0@oldworks.example>",
            " <1@lamp.example>",
            "",
            "Thank you!",
            "> It left us this morning.",
        )
    )

    assert (letter.from_name, letter.from_address) == ("Ana Ribeiro", "ana@oldworks.example")
    assert letter.subject == "Re: Refund"
    assert letter.message_id == "<2@oldworks.example>"
    assert letter.answers == ("<1@lamp.example>", "<0@oldworks.example>")
    assert letter.text == "Thank you!\n> It left us this morning."


@pytest.mark.parametrize(
    ("field", "name", "address"),
    [
        (b"ana@x.example", "", "ana@x.example"),
        (b"=?utf-8?Q?M=C3=BCller=2C_Anna?= <anna@x.example>", "Müller, Anna", "anna@x.example"),
        (b'"M\xc3\xbcller, Anna" <anna@x.example>', "Müller, Anna", "anna@x.example"),  # RFC 6532
        (b'"M\xfcller" <anna@x.example>', "Müller", "anna@x.example"),  # Latin-1, as it should not be
        (b"Miller, Anna <anna@x.example>", None, "anna@x.example"),  # without the quotes that it needs
        (b"=?utf-8?q?boss=40lamp=2Eexample=2C?= <eve@x.example>", "boss@lamp.example,", "eve@x.example"),
        (b'"boss@lamp.example" <eve@x.example>', "boss@lamp.example", "eve@x.example"),
        (b"=?x-unknown?q?Ana?= <ana@x.example>", "Ana", "ana@x.example"),
        (b"=?utf-8?b?broken?= <ana@x.example>", None, "ana@x.example"),
        (b"=?utf-8?q?Ana=00=0D=0ABcc=3A_all?= <ana@x.example>", "Ana Bcc: all", "ana@x.example"),
        (b"=?utf-8?q?=E2=80=AEgnp?= <ana@x.example>", "gnp", "ana@x.example"),  # turned round
        (b"undisclosed", "", ""),
        (b"<>", "", ""),
        (b"", "", ""),
        (b"a" * 300 + b"@x.example", "", ""),  # cut short it would be another address
        (b"a\x00na@x.example", "", ""),
    ],
)
def test_the_sender_is_an_address_or_nobody(field, name, address):
    letter = read_letter(b"From: " + field + b"\r\n\r\nHello")

    assert letter.from_address == address
    if name is not None:
        assert letter.from_name == name


@pytest.mark.parametrize(
    ("field", "subject"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?iso-8859-1?q?Gr=FC=DFe?= and more", "Grüße and more"),
        (b"=?gb2312?b?" + b64encode("退款".encode("gb18030")) + b"?=", "退款"),
        (b"=?iso-2022-jp?b?" + b64encode("返金".encode("iso-2022-jp")) + b"?=", "返金"),
        ("Grüße".encode(), "Grüße"),
        (b"Gr\xfc\xdfe", "Grüße"),
        (b"=?no-such-charset?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"one\r\n two", "one two"),
        (b"bell \x07 and escape \x1b[31m", "bell and escape [31m"),
        ("line\u2028separator".encode(), "line separator"),
        ("a family \U0001f468\u200d\U0001f469".encode(), "a family \U0001f468\u200d\U0001f469"),
    ],
)
def test_a_subject_is_one_line_of_visible_letters(field, subject):
    assert read_letter(b"Subject: " + field + b"\r\n\r\nHello").subject == subject


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("utf-8", "Grüße 😀".encode(), "Grüße 😀"),
        ("iso-8859-1", b"Gr\xfc\xdfe", "Grüße"),
        ("iso-8859-1", b"\x93quoted\x94 \x80 5", "“quoted” € 5"),  # Windows-1252 by the narrower name
        ("iso-8859-15", b"5 \xa4", "5 €"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("gb2312", "退款镕".encode("gb18030"), "退款镕"),  # a letter that GB 2312 has not
        ("shift_jis", "①返金".encode("cp932"), "①返金"),
        ("ks_c_5601-1987", "환불".encode("cp949"), "환불"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("us-ascii", b"Gr\xfc\xdfe", "Grüße"),
        ("utf-8", b"Gr\xfc\xdfe", "Gr\ufffd\ufffde"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("no-such-charset", b"Gr\xfc\xdfe", "Grüße"),
        ("base64", b"Hello", "Hello"),  # a codec of Python's and no charset
        ("undefined", b"Hello", "Hello"),  # the same
        ("a\x00b", b"Hello", "Hello"),
        ("utf-16", "Grüße".encode("utf-16"), "Grüße"),
    ],
)
def test_words_in_the_charsets_of_the_world(charset, octets, text):
    content = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n"

    assert read_letter(HEADER + content.encode() + b64encode(octets)).text == text


def test_words_without_a_label_are_read_as_what_they_are():
    assert read_letter(HEADER + "\r\nGrüße".encode()).text == "Grüße"
    assert read_letter(HEADER + b"\r\nGr\xfc\xdfe").text == "Grüße"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (in_parts("alternative", PLAIN, RICH), "plain words"),
        (in_parts("alternative", RICH, PLAIN), "plain words"),
        (in_parts("alternative", "Content-Type: text/plain\r\n\r\n  \r\n", RICH), "rich words"),
        (in_parts("alternative", PLAIN, in_parts("related", RICH)), "plain words"),
        (in_parts("related", in_parts("alternative", PLAIN, RICH)), "plain words"),
        (in_parts("mixed", RICH), "rich words"),
        # Apple Mail cuts the words in two where a picture stands between them.
        (in_parts("mixed", PLAIN, "Content-Type: image/png\r\n\r\nx", PLAIN), "plain words\n\nplain words"),
        (in_parts("mixed", PLAIN, f"Content-Disposition: attachment\r\n{PLAIN}"), "plain words"),
        (in_parts("mixed", PLAIN, 'Content-Type: text/plain; name="log.txt"\r\n\r\nlog'), "plain words"),
        (in_parts("mixed", RICH, f"Content-Type: message/rfc822\r\n\r\nFrom: x\r\n{PLAIN}"), "rich words"),
        (in_parts("mixed", "Content-Type: application/pdf\r\n\r\n%PDF"), ""),
        ("Content-Type: multipart/mixed\r\n\r\nno boundary", ""),
        ("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed", "never closed"),
    ],
)
def test_the_words_of_a_mail_in_parts(body, text):
    assert text_of(body) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div>\n<div>Two</div>", "One\nTwo"),
        ("One<br>Two<BR/>Three", "One\nTwo\nThree"),
        ("One\r\n   line", "One line"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("1 &lt; 2 &amp;&nbsp;&#8364;", "1 < 2 &\xa0€"),
        ("<script>alert(1)</script>Hello<style>p{}</style>", "Hello"),
        ("<SCRIPT>alert(1)</ScRiPt >Hello", "Hello"),
        ("<html><head><title>t</title><body>Hello", "Hello"),  # a head that is never closed
        ("Hello<!-- <p>not shown --> Ana", "Hello Ana"),
        ("Hello<!-- never closed <p>not shown", "Hello"),
        ("<![if !mso]>Hello<![endif]>", "Hello"),  # Outlook
        ("<![ nonsense ]>Hello", "Hello"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("&lt;script&gt;", "<script>"),
    ],
)
def test_the_words_of_html(html, text):
    assert of_html(html) == text


@pytest.mark.usefixtures("every_reading_ends")  # html.parser takes minutes
@pytest.mark.parametrize(
    "piece",
    ["<!--", "<![", "<!", "<a ", "<a b='", "<", "</", "<script>", "<title></title>", "<div>", "&#", "&"],
)
def test_html_that_is_built_to_choke_its_reader_is_read_all_the_same(piece):
    words = of_html("<p>Refund</p>" + piece * (400_000 // len(piece)))

    assert words.startswith("Refund")


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=x{0}", "message/rfc822"])
def test_a_mail_that_is_nested_without_end_is_read_by_its_header(kind):
    nested = "".join(f"Content-Type: {kind.format(level)}\r\n\r\n--x{level}\r\n" for level in range(3_000))

    letter = read_letter(HEADER + nested.encode())

    assert (letter.from_address, letter.subject, letter.text) == ("ana@oldworks.example", "Refund", "")


@pytest.mark.usefixtures("every_reading_ends")
def test_a_mail_of_a_million_parts_is_read_by_its_header():
    bomb = HEADER + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 1_000_000

    letter = read_letter(bomb)

    assert (letter.subject, letter.text) == ("Refund", "")


def test_an_ordinary_depth_is_read():
    body = PLAIN
    for _ in range(20):
        body = in_parts("mixed", body).replace("mixed-b", f"b{len(body)}")

    assert text_of(body) == "plain words"


def test_a_very_long_text_is_cut_for_the_page():
    assert len(read_letter(HEADER + b"\r\n" + b"word" * 300_000).text) == MOST_TEXT


def test_nul_does_not_reach_the_database():
    letter = read_letter(b"Subject: a\0b\r\nMessage-ID: <a\0b@x>\r\n\r\nHe\0llo")

    assert "\0" not in f"{letter.subject}{letter.message_id}{letter.text}"


@pytest.mark.parametrize(
    "raw",
    [b"", b"\r\n", b"\0" * 1000, b"\xff" * 1000, b"From", b":", b"From: \xff\xfe\r\nTo", bytes(range(256))],
)
def test_garbage_is_an_empty_letter(raw):
    assert read_letter(raw).from_address == ""


def test_only_a_hundred_ids_are_taken_as_answered():
    ids = " ".join(f"<{number}@x.example>" for number in range(1000))

    assert len(read_letter(f"References: {ids}\r\n\r\nHello".encode()).answers) == 100
