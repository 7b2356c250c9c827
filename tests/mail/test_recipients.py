"""What agents type into To, Cc and Bcc."""

from __future__ import annotations

import subprocess
import sys

import pytest

from telltale.mail.recipients import BadAddressError, Mailbox, parse_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ,;\n ", []),
        ("ana@x.example", [("", "ana@x.example")]),
        ("<ana@x.example>", [("", "ana@x.example")]),
        ("Ana <ana@x.example>, bob@y.example; c@z.example",
         [("Ana", "ana@x.example"), ("", "bob@y.example"), ("", "c@z.example")]),
        ("ana@x.example\r\nbob@y.example\n", [("", "ana@x.example"), ("", "bob@y.example")]),
        ('"Reis, Ana; Ltd" <ana@x.example>', [("Reis, Ana; Ltd", "ana@x.example")]),
        (r'"Ana \"Big\" Reis" <ana@x.example>', [('Ana "Big" Reis', "ana@x.example")]),
        ("Jürgen <jürgen@müller.example>", [("Jürgen", "jürgen@müller.example")]),
        ("Ana@X.Example", [("", "Ana@x.example")]),  # only the domain has no case
        ("ana+desk@mx.lamp.test", [("", "ana+desk@mx.lamp.test")]),
    ],
)  # fmt: skip
def test_addresses_are_read_as_people_write_them(text, expected):
    assert parse_addresses(text) == tuple(Mailbox(*pair) for pair in expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ana", "“ana” is no address: it has no @. Write it as name@domain.example."),
        ("ana@x.example, bob", "“bob” is no address"),
        ("ana@x", "has no dot"),
        ("a b@x.example", "invalid characters"),
        ("ana@x..example", "two periods in a row"),
        ("ana@x.example bob@y.example", "“ana@x.example bob@y.example” is no address"),
        ("Ana <ana@x\n.example>", "has a line break inside"),
        ('"Ana\nBcc: eve" <ana@x.example>', "has a line break inside"),
        ("ana\0@x.example", "cannot be seen"),
        ("ana@x.example\x7f", "cannot be seen"),
        ("a" * 65 + "@x.example", "longer than 64 octets"),
        ("a@" + ".".join(["b" * 60] * 5), "longer than 254 octets"),
        ("Ana <ana@x.example", "“Ana <ana@x.example” is no address"),
    ],
)
def test_a_bad_piece_is_named_with_what_is_wrong(text, words):
    with pytest.raises(BadAddressError) as error:
        parse_addresses(text)

    assert words in str(error.value)


def test_a_bad_piece_is_told_with_what_to_do():
    with pytest.raises(BadAddressError, match=r"Correct it, or take it out\.$"):
        parse_addresses("a@b@x.example")


def test_the_longest_address_is_taken():
    longest = "a" * 64 + "@" + ".".join(["b" * 60, "c" * 60, "d" * 58, "example"])

    assert len(longest) == 253
    assert parse_addresses(longest) == (Mailbox("", longest),)


def test_a_message_shows_no_more_than_the_beginning_of_a_long_piece():
    with pytest.raises(BadAddressError) as error:
        parse_addresses("<" * 9_000)

    assert len(str(error.value)) < 250


def test_the_words_of_the_standards_need_no_library():
    code = "import sys, telltale.mail; print('email_validator' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "False"
