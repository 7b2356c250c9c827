"""Settings of what is fetched by IMAP: saved, tried at once, and said on every page where it fails."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone

from telltale.conversations.fields import readable
from telltale.conversations.models import ImapAccount, ImapFolder
from telltale.inbound.imap import ImapFaultError
from telltale.web.views import imap_accounts

pytestmark = pytest.mark.django_db
ACCOUNT = {
    "host": "imap.lamp.example",
    "port": 993,
    "security": "tls",
    "sign_in": "password",
    "username": "support@lamp.example",
    "password": "hunter2",
    "folders": "INBOX\r\n Returns \r\n",
    "begin": "new",
    "marks_read": "on",
}


@pytest.fixture(autouse=True)
def tried(monkeypatch) -> list[ImapAccount]:
    """The accounts that were tried; a real server is asked in tests/inbound/test_fetching.py."""
    tried: list[ImapAccount] = []

    def check(account: ImapAccount) -> str:
        tried.append(account)
        if account.host == "wrong.example":
            raise ImapFaultError("The server does not let us in: [AUTHENTICATIONFAILED] <b>No.</b>")
        return "Signed in at imap.lamp.example: INBOX has 3 mails."

    monkeypatch.setattr(imap_accounts, "check", check)
    return tried


def add(desk, mailbox, **changes):
    return desk.post(reverse("new-imap", args=[mailbox.pk]), ACCOUNT | changes, follow=True)


def test_an_account_is_saved_tried_and_shown(desk, mailbox, tried):
    page = add(desk, mailbox).content.decode()

    account = ImapAccount.objects.get()
    assert tried == [account]
    assert account.folder_names == ["INBOX", "Returns"]
    assert "Signed in at imap.lamp.example: INBOX has 3 mails." in page
    assert "imap.lamp.example:993" in page


def test_what_the_server_says_is_shown_as_text_and_the_account_is_saved_all_the_same(desk, mailbox):
    page = add(desk, mailbox, host="wrong.example").content.decode()

    assert "[AUTHENTICATIONFAILED] &lt;b&gt;No.&lt;/b&gt;" in page
    assert ImapAccount.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": ""}, "Give the name of the provider’s IMAP server."),
        ({"password": ""}, "Give the password."),
        ({"sign_in": "none"}, "Select a valid choice."),
        ({"security": "none"}, "Select a valid choice."),
        ({"sign_in": "google"}, "Give the client ID that the provider showed"),
        ({"folders": "\n".join(f"F{n}" for n in range(11))}, "providers allow few: 10"),
        ({"port": "0"}, "greater than or equal to 1"),
    ],
)
def test_what_could_not_be_fetched_from_is_refused_at_its_field(desk, mailbox, changes, words):
    answer = add(desk, mailbox, **changes)

    assert answer.status_code == 422
    assert words.replace("’", "&#x27;") in answer.content.decode()
    assert not ImapAccount.objects.exists()


def test_a_second_click_makes_no_second_account(desk, mailbox):
    """Two fetchers of one folder would keep each of its mails twice."""
    add(desk, mailbox)
    answer = add(desk, mailbox, host="IMAP.lamp.example", folders="Other\r\nINBOX")

    assert answer.status_code == 422
    assert "mail is fetched already, from such a folder" in answer.content.decode()
    assert ImapAccount.objects.count() == 1
    assert add(desk, mailbox, folders="Sales").status_code == 200  # another folder may be another mailbox's
    assert ImapAccount.objects.count() == 2


def test_googles_server_is_known_and_somebody_has_to_sign_in_there(desk, mailbox, tried):
    page = add(
        desk, mailbox, host="", sign_in="google", client_id="desk-4711", client_secret="s3cret", password=""
    ).content.decode()

    account = ImapAccount.objects.get()
    assert account.host == "imap.gmail.com"
    assert tried == []
    assert "Now sign in as support@lamp.example" in page
    assert "nobody has signed in yet" in page


def test_the_sign_in_at_microsoft_asks_for_the_right_to_fetch_and_for_no_other(desk, mailbox):
    add(desk, mailbox, host="", sign_in="microsoft", client_id="desk-4711", client_secret="s3cret")

    answer = desk.post(reverse("imap-sign-in", args=[ImapAccount.objects.get().pk]))

    asked = parse_qs(urlsplit(answer["Location"]).query)
    assert asked["scope"] == ["offline_access https://outlook.office.com/IMAP.AccessAsUser.All"]
    assert asked["login_hint"] == ["support@lamp.example"]


def test_a_secret_is_never_shown_and_kept_where_its_field_stays_empty(desk, mailbox):
    add(desk, mailbox)
    account = ImapAccount.objects.get()
    where = reverse("imap", args=[account.pk])
    assert "hunter2" not in desk.get(where).content.decode()

    desk.post(where, ACCOUNT | {"password": "", "folders": "INBOX"})

    account.refresh_from_db()
    assert (readable(account.password), account.folders) == ("hunter2", "INBOX")


def test_an_account_is_tried_again_and_removed_by_a_button(desk, mailbox, tried):
    add(desk, mailbox)
    account = ImapAccount.objects.get()

    desk.post(reverse("imap-checks", args=[account.pk]))
    assert len(tried) == 2
    page = desk.post(reverse("imap-removal", args=[account.pk]), follow=True).content.decode()

    assert "not fetched from support@lamp.example any more" in page
    assert not ImapAccount.objects.exists()


def failing(account: ImapAccount, *, minutes: int) -> ImapFolder:
    since = timezone.now() - timedelta(minutes=minutes)
    return account.places.create(name="INBOX", fault="The server does not answer.", fault_since=since)


def test_mail_that_is_not_fetched_is_said_on_every_page_once_it_lasts(desk, mailbox):
    add(desk, mailbox)
    place = failing(ImapAccount.objects.get(), minutes=2)

    assert "is not fetched since" in desk.get(reverse("guide")).content.decode()
    page = desk.get(reverse("mailbox", args=[mailbox.pk])).content.decode()
    assert "The server does not answer." in page

    ImapFolder.objects.filter(pk=place.pk).update(fault_since=timezone.now())
    assert "is not fetched since" not in desk.get(reverse("guide")).content.decode()


def test_only_admins_see_and_change_it_and_the_others_know_whom_to_ask(client, colleague, mailbox):
    account = ImapAccount.objects.create(mailbox=mailbox, host="imap.lamp.example", username="support")
    failing(account, minutes=2)
    client.force_login(colleague)

    for name, pk in (("new-imap", mailbox.pk), ("imap", account.pk)):
        assert client.get(reverse(name, args=[pk])).status_code == 403
    for name in ("imap-checks", "imap-removal", "imap-sign-in"):
        assert client.post(reverse(name, args=[account.pk])).status_code == 403
    assert "An admin can see why." in client.get(reverse("guide")).content.decode()
