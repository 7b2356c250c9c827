"""What holds for all addresses, encodings and replies. tests/properties.py says how to try more of them."""

from __future__ import annotations

from email.header import Header

from hypothesis import given
from hypothesis import strategies as st

from telltale.mail.addresses import address_of, addresses_in, is_address, original_of, same, xtext_undone
from telltale.mail.decoding import base64_decoded, words_decoded
from telltale.mail.reply import SmtpReply
from tests.mail.promises import address_read, reply_read, words_read
from tests.properties import examples

# RFC 5321 section 4.1.2, "Atom", without what stands for a rewriting: "+", "=", "-".
ATOM = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_!#$%&*?^~", min_size=1, max_size=12)
LOCAL_PART = st.lists(ATOM, min_size=1, max_size=3).map(".".join)
LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
DOMAIN = st.builds(
    lambda labels, last: ".".join([*labels, last]), st.lists(LABEL, min_size=1, max_size=3), LABEL
)
ADDRESS = st.builds(lambda local_part, domain: f"{local_part}@{domain}", LOCAL_PART, DOMAIN)
ANY_ADDRESS = ADDRESS | st.text(max_size=40) | st.text("a@=+-<>. ()\\x{}", max_size=40)
HEX = "0123456789abcdef"
UTF8 = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs", "Cf")), min_size=1, max_size=40
)


@examples(100)
@given(ADDRESS)
def test_an_address_is_found_wherever_it_stands(address: str) -> None:
    assert is_address(address)
    assert address_of(f"rfc822; <{address}>") == address
    assert address_of(f" RFC822;{address} ") == address
    without_marks = address.lstrip("*")  # "*ana@lamp.example*" is one in bold type
    wanted = address if without_marks.startswith("@") else without_marks
    assert list(addresses_in(f"To: Ana <{address}>, others")) == [wanted]


@examples(100)
@given(ADDRESS, st.text(HEX, min_size=10, max_size=10))
def test_batv_is_undone(address: str, signature: str) -> None:
    assert original_of(f"prvs={signature}={address}") == address


@examples(100)
@given(ADDRESS, DOMAIN, st.sampled_from("-+="), st.text(HEX, min_size=4, max_size=8))
def test_srs_is_undone_once_and_twice(address: str, forwarder: str, separator: str, signature: str) -> None:
    local_part, _, domain = address.partition("@")
    once = f"={signature}=T1={domain}={local_part}"

    assert original_of(f"SRS0{separator}{once.removeprefix('=')}@{forwarder}") == address
    assert original_of(f"SRS1={signature}={forwarder}={once}@other.example") == address


@examples(100)
@given(ADDRESS, DOMAIN)
def test_verp_is_undone(address: str, sender: str) -> None:
    local_part, _, domain = address.partition("@")

    assert original_of(f"bounces+{local_part}={domain}@{sender}") == address


@examples(100)
@given(ADDRESS)
def test_an_address_of_nobody_else_stays_as_it_is(address: str) -> None:
    assert original_of(address) == address


@examples(100)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_xtext_is_undone(text: str) -> None:
    """RFC 3461 section 4: "+" and "=" are escaped always, and others may be."""
    escaped = "".join(f"+{ord(letter):02X}" if letter in "+=" else letter for letter in text)

    assert xtext_undone(escaped) == text


@examples(200)
@given(ANY_ADDRESS, ANY_ADDRESS)
def test_who_is_the_same_as_another_is_so_both_ways(one: str, other: str) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)


@examples(100)
@given(ADDRESS)
def test_case_makes_no_other_mailbox(address: str) -> None:
    assert same(address.upper(), f"<{address}>")


@examples(100)
@given(UTF8)
def test_encoded_words_give_the_words_that_were_encoded(words: str) -> None:
    assert words_decoded(Header(words, "utf-8", maxlinelen=70).encode(linesep="\n")) == words


@examples(100)
@given(st.binary(max_size=300))
def test_base64_is_read_however_its_lines_are_cut(octets: bytes) -> None:
    import base64

    letters = base64.b64encode(octets)

    assert base64_decoded(letters) == octets
    assert base64_decoded(b"\r\n ".join(letters[at : at + 7] for at in range(0, len(letters), 7))) == octets


@examples(100)
@given(
    st.integers(200, 599),
    st.lists(st.binary(max_size=40).filter(lambda line: not {10, 13} & set(line)), min_size=1),
)
def test_no_octet_of_a_reply_is_lost(code: int, lines: list[bytes]) -> None:
    *first, last = lines
    wire = b"".join(b"%d-%s\r\n" % (code, line) for line in first) + b"%d %s\r\n" % (code, last)
    reply = SmtpReply.from_wire(wire)

    assert reply.code == code
    assert len(reply.lines) == len(lines)
    assert reply.text.split("\n") == [line.decode("utf-8", "backslashreplace") for line in lines]


@examples(300)
@given(st.text(max_size=200) | ANY_ADDRESS)
def test_any_field_is_read(text: str) -> None:
    address_read(text.encode("utf-8", "backslashreplace").decode())


@examples(300)
@given(
    st.sampled_from(
        ("utf-7", "utf-16", "hz", "punycode", "iso-2022-jp", "=?utf-7?q?", "&#55296;", "\\x{d800}", "")
    ),
    st.binary(max_size=100),
)
def test_any_octets_give_a_text_that_can_be_kept(start: str, octets: bytes) -> None:
    words_read(start.encode() + b"\n" + octets)
    reply_read(octets)
