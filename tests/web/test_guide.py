"""The error guide: drawn from what the engine knows, searchable, with a box for an error."""

from __future__ import annotations

import pytest

from telltale.bounce import knowledge


@pytest.fixture
def guide(client, agent):
    client.force_login(agent)
    return lambda headers=None, **query: client.get("/guide/", query, headers=headers).content.decode()


def test_every_reason_that_a_mail_can_fail_for_is_in_it(guide):
    page = guide()

    for name, reason in knowledge.reasons().items():
        assert (f'id="{name}"' in page) is (name not in ("delivered", "relayed")), reason.title
    assert "{domain}" not in page
    assert "{obstacle}" not in page


@pytest.mark.parametrize("search", ["5.2.2", "x.2.2", "mailbox FULL", "552"])
def test_it_is_searched_by_words_and_codes(guide, search):
    found = guide(search=search, headers={"HX-Request": "true"})

    assert 'id="mailbox_full"' in found
    assert 'id="virus"' not in found
    assert "<html" not in found


def test_what_is_not_found_is_said(guide):
    assert "Nothing in the guide holds all of these words" in guide(search="zeppelin")


def test_a_pasted_error_is_explained_and_stays_text(guide):
    page = guide(
        error="550-5.7.26 <b>Unauthenticated email</b> from lamp.example", host="gmail-smtp-in.l.google.com"
    )

    assert "said by <b>Google</b>" in page
    assert "&lt;b&gt;Unauthenticated email" in page
    assert "For the admin:" in page
