"""From octets to characters: what mail of forty years has been written in."""

from __future__ import annotations

import pytest

from telltale.mail.decoding import text_of, transfer_decoded, words_decoded
from telltale.mail.markup import text_of_html


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        ("größer".encode(), "utf-8", "größer"),
        ("größer".encode(), "", "größer"),
        ("größer".encode("latin-1"), "iso-8859-1", "größer"),
        ("größer".encode("latin-1"), "us-ascii", r"gr\xf6\xdfer"),
        ("größer".encode("latin-1"), "no such charset", r"gr\xf6\xdfer"),
        ("送信エラー".encode("iso-2022-jp"), "iso-2022-jp", "送信エラー"),
        ("送信エラー".encode("iso-2022-jp"), "", "送信エラー"),  # phones leave the charset out
        ("送信エラー".encode("euc-jp"), "iso-2022-jp", "送信エラー"),  # and name the wrong one
        ("送信エラー".encode("cp932"), "iso-2022-jp", "送信エラー"),
        ("退信".encode("gb18030"), "gb2312", "退信"),
        ("письмо".encode("koi8-r"), "koi8-r", "письмо"),
        (b"one\r\ntwo", "us-ascii", "one\ntwo"),
        (b"abc", "punycode", "abc"),  # no charset of mail, and slow to decode
    ],
)
def test_octets_are_read_in_their_charset(octets, charset, text):
    assert text_of(octets, charset) == text


@pytest.mark.parametrize(
    ("octets", "encoding", "decoded"),
    [
        (b"SGVsbG8=", "base64", b"Hello"),
        (b"SGVs\nbG8", "base64", b"Hello"),  # cut off
        (b"SGVsbG8=\n\nA line of a list", "base64", b"Hello"),
        (b"gr=F6=\n=DFer", "quoted-printable", b"gr\xf6\xdfer"),
        (b"50 = 50", "quoted-printable", b"50 = 50"),
        (b"as it is", "8bit", b"as it is"),
        (b"as it is", "x-unknown", b"as it is"),
    ],
)
def test_a_transfer_encoding_is_undone_as_far_as_there_is_something(octets, encoding, decoded):
    assert transfer_decoded(octets, encoding)[: len(decoded)] == decoded


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("=?utf-8?q?Unzustellbar=3A_gr=C3=B6=C3=9Fer?=", "Unzustellbar: größer"),
        ("=?iso-2022-jp?B?GyRCQXc/LiUoJWkhPBsoQg==?=", "送信エラー"),
        ("=?utf-8?q?one?= =?utf-8?q?two?= three", "onetwo three"),  # RFC 2047 section 6.2
        ("=?no-such?q?x?=", "x"),
        ("=?utf-8?x?broken?=", "=?utf-8?x?broken?="),
        ("plain", "plain"),
    ],
)
def test_encoded_words_are_read(value, words):
    assert words_decoded(value) == words


def test_html_is_read_line_by_line_without_what_nobody_sees():
    markup = "<html><head><title>x</title><style>p {}</style></head><body>"
    markup += "<p>One&nbsp;&amp; two<br>three</p><td>4<td>5</body>"

    assert [line.split() for line in text_of_html(markup).split("\n") if line.strip()] == [
        ["One", "&", "two"],
        ["three"],
        ["4", "5"],
    ]


def test_an_address_in_angle_brackets_that_nobody_escaped_is_no_tag():
    assert "<ana@lamp.example>" in text_of_html("550 <ana@lamp.example>: no such user")
