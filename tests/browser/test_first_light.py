"""An agent presses send, a mail server answers, and the page says what became of it, without a reload."""

from __future__ import annotations

import re
import uuid

from playwright.sync_api import Page, Route, expect


def start(page: Page, to: str, *, cc: str = "", body: str = "Is it this one?") -> str:
    """A new conversation of its own with `to`; returns its subject."""
    subject = f"About {uuid.uuid4().hex[:8]}"
    page.goto("/conversations/new")
    page.get_by_label("To").fill(to)
    page.get_by_label("Cc", exact=True).fill(cc)
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Message").fill(body)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", level=1, name=subject)).to_be_visible()
    mark(page)
    return subject


def mark(page: Page) -> None:
    page.evaluate("window.notReloaded = true")


def assert_not_reloaded(page: Page) -> None:
    assert page.evaluate("window.notReloaded") is True


def note(page: Page, address: str):
    """The notes about this address, open or settled; others may name it too, among the other recipients."""
    return page.locator("article.failure", has=page.locator("[id^=title-]", has_text=address))


def written(page: Page):
    """Where the reply is typed."""
    return page.get_by_role("textbox", name="Reply", exact=True)


def chip(page: Page, address: str):
    return page.locator(".fate", has_text=address)


def test_three_recipients_have_three_fates_without_a_reload(page: Page) -> None:
    page.goto("/inbox/open/")
    page.get_by_role("link", name="Where is my refund?").click()
    mark(page)
    page.get_by_label("To", exact=True).fill(
        "no-such-user@google.sandbox.test, anna@postfix.sandbox.test, greylist@yahoo.sandbox.test"
    )
    written(page).fill("The refund left us this morning.")
    page.get_by_role("button", name="Send ⌘↵").click()

    expect(chip(page, "no-such-user@google.sandbox.test")).to_contain_text("550-5.1.1")
    expect(chip(page, "anna@postfix.sandbox.test")).to_contain_text("accepted")
    expect(chip(page, "greylist@yahoo.sandbox.test")).to_contain_text("delayed")
    failure = note(page, "no-such-user@google.sandbox.test").first
    expect(failure.get_by_role("heading")).to_have_text(
        "Your reply did not reach no-such-user@google.sandbox.test"
    )
    expect(failure.locator("pre")).to_contain_text("550-5.1.1")
    expect(failure).to_contain_text("Said by Google")
    expect(failure).to_contain_text("the recipient’s address")
    expect(written(page)).to_have_value("")
    row = page.locator(".row", has_text="Where is my refund?")
    expect(row).to_contain_text("Not delivered to no-such-user@google.sandbox.test")
    assert_not_reloaded(page)


def test_a_delayed_reply_says_when_the_next_try_is_and_then_arrives(page: Page) -> None:
    page.set_default_timeout(40_000)
    start(page, "greylist@postfix.sandbox.test")

    expect(note(page, "greylist@postfix.sandbox.test")).to_contain_text("Next try")
    expect(chip(page, "greylist@postfix.sandbox.test")).to_contain_text("accepted on try 2", timeout=40_000)
    expect(note(page, "greylist@postfix.sandbox.test").locator("summary").first).to_contain_text(
        "accepted on a later try"
    )
    assert_not_reloaded(page)


def test_a_bounce_that_comes_later_turns_the_chip_and_writes_the_note(page: Page) -> None:
    start(page, "bounce-later@microsoft.sandbox.test")

    expect(chip(page, "bounce-later@microsoft.sandbox.test")).to_contain_text("accepted")
    failure = note(page, "bounce-later@microsoft.sandbox.test")
    expect(failure).to_be_visible(timeout=20_000)
    expect(failure).to_contain_text("did not reach")
    failure.get_by_text("How we know").click()
    expect(failure).to_contain_text("signed return path")
    assert_not_reloaded(page)


def test_a_connection_lost_behind_the_final_dot_is_said_to_be_uncertain(page: Page) -> None:
    start(page, "drop-after-data@apple.sandbox.test")

    expect(chip(page, "drop-after-data@apple.sandbox.test")).to_contain_text("uncertain")
    expect(note(page, "drop-after-data@apple.sandbox.test")).to_contain_text("may not have reached")


def test_the_note_sends_the_reply_to_another_address_typed_in(page: Page) -> None:
    start(page, "no-such-user@apple.sandbox.test")
    failure = note(page, "no-such-user@apple.sandbox.test")
    failure.get_by_text("Another address…").click()
    failure.get_by_label("Send this reply to").fill("nobody at all")
    failure.get_by_role("button", name="Send", exact=True).click()
    expect(failure.locator(".fault").first).to_contain_text("nobody at all")

    failure.get_by_label("Send this reply to").fill("anna@postfix.sandbox.test")
    failure.get_by_role("button", name="Send", exact=True).click()

    expect(chip(page, "anna@postfix.sandbox.test")).to_contain_text("accepted")
    expect(failure.locator("summary").first).to_contain_text("sent to another address by Maya")
    assert_not_reloaded(page)


def test_the_note_offers_the_contacts_other_address_with_one_click(page: Page) -> None:
    page.goto("/inbox/open/")
    page.get_by_role("link", name="Change plan mid-cycle").click()
    written(page).fill("Yes, it is credited.")
    page.get_by_role("button", name="Send ⌘↵").click()
    failure = note(page, "priya@corp.example")

    failure.get_by_role("button", name="Send to priya@icloud.example").click()

    expect(chip(page, "priya@icloud.example")).to_contain_text("accepted")


def test_a_misspelt_domain_is_noticed(page: Page) -> None:
    start(page, "ana@gmial.com")

    expect(
        note(page, "ana@gmial.com").get_by_role("button", name="Did you mean ana@gmail.com? Send there")
    ).to_be_visible()


def test_try_again_now_gets_a_new_answer(page: Page) -> None:
    start(page, "no-such-user@yahoo.sandbox.test")
    expect(note(page, "no-such-user@yahoo.sandbox.test")).to_have_count(1)

    page.get_by_role("button", name="Try again now").click()

    expect(note(page, "no-such-user@yahoo.sandbox.test")).to_have_count(2)
    expect(page.locator("article.failure.settled")).to_contain_text("tried again by Maya")
    expect(page.locator("article.failure").last.get_by_role("heading")).to_be_visible()


def test_try_again_later_offers_an_hour_tomorrow_morning_and_a_time(page: Page) -> None:
    start(page, "full@google.sandbox.test")
    page.get_by_text("Try again later…").click()
    page.get_by_role("button", name="At this time").click()
    expect(page.locator("article.failure .fault").last).to_contain_text("Choose a day and a time")

    page.get_by_role("button", name="In an hour").click()

    expect(chip(page, "full@google.sandbox.test")).to_contain_text("to be tried")
    expect(page.locator("article.failure.settled")).to_contain_text("tried again by Maya")


def test_mark_as_handled_folds_the_note(page: Page) -> None:
    subject = start(page, "no-such-user@postfix.sandbox.test")

    page.get_by_role("button", name="Mark as handled").click()

    expect(page.locator("article.failure.settled")).to_contain_text("marked as handled by Maya")
    expect(page.locator(".row", has_text=subject)).not_to_contain_text("Not delivered")


def test_what_the_agent_opened_and_typed_survives_a_live_update(page: Page) -> None:
    start(page, "no-such-user@google.sandbox.test", cc="greylist@google.sandbox.test")
    failure = note(page, "no-such-user@google.sandbox.test").first
    failure.get_by_text("Another address…").click()
    failure.get_by_label("Send this reply to").fill("half-typed@")
    written(page).fill("A second thought")

    page.evaluate("document.body.dispatchEvent(new Event('changed'))")
    expect(chip(page, "greylist@google.sandbox.test")).to_contain_text("accepted on try 2", timeout=40_000)

    expect(failure.get_by_label("Send this reply to")).to_have_value("half-typed@")
    expect(written(page)).to_have_value("A second thought")


def test_keeping_the_draft_does_not_take_the_send_button_away(page: Page) -> None:
    """A click that falls into the moment in which the draft is kept must send."""
    page.goto("/inbox/open/")
    page.get_by_role("link", name="Export stops at 10,000 rows").click()
    held: list[Route] = []
    page.route("**/draft", lambda route: held.append(route))
    with page.expect_request("**/draft"):
        written(page).fill("It was a limit; it is gone since this morning.")
    send = page.get_by_role("button", name="Send ⌘↵")
    expect(send).to_be_enabled()
    before = send.bounding_box()
    for route in held:
        route.continue_()
    expect(page.locator("#draft-state")).to_contain_text("Draft kept")
    assert send.bounding_box() == before, "the button must not move from under the pointer"


def test_a_draft_is_kept_on_the_server_as_it_is_typed(page: Page) -> None:
    page.goto("/inbox/open/")
    page.get_by_role("link", name="SSO login loop").click()
    written(page).fill("Could you try once more?")
    expect(page.locator("#draft-state")).to_contain_text("Draft kept")

    page.reload()

    expect(written(page)).to_have_value("Could you try once more?")


def test_a_file_is_kept_at_once_and_one_that_is_too_large_is_refused_at_its_field(
    page: Page, tmp_path
) -> None:
    small, large = tmp_path / "invoice.txt", tmp_path / "film.mp4"
    small.write_bytes(b"42")
    large.write_bytes(b"\0" * 40_000_000)
    page.goto("/inbox/open/")
    page.get_by_role("link", name="Webhook signature mismatch").click()
    written(page).fill("With a file")

    page.locator("input[type=file]").set_input_files(large)
    expect(page.locator("#files .fault")).to_contain_text("“film.mp4” has 40.0 MB")
    page.locator("input[type=file]").set_input_files(small)
    expect(page.locator("#files")).to_contain_text("invoice.txt")
    expect(written(page)).to_have_value("With a file")
    page.get_by_role("button", name="Send ⌘↵").click()

    expect(page.locator("article.reply .files")).to_contain_text("invoice.txt")


def test_wrong_input_is_said_at_its_field(page: Page) -> None:
    page.goto("/inbox/open/")
    page.get_by_role("link", name="Export stops at 10,000 rows").click()
    page.get_by_label("To", exact=True).fill("kenji at yahoo")
    written(page).fill("No limit, a bug.")

    page.get_by_role("button", name="Send ⌘↵").click()

    expect(page.locator("#fault-to")).to_contain_text("kenji at yahoo")
    expect(written(page)).to_have_value("No limit, a bug.")
    expect(page.locator("article.reply")).to_have_count(0)


def test_the_sandbox_page_leads_to_a_trial_of_each_address(page: Page) -> None:
    page.goto("/sandbox/")

    page.get_by_role("link", name=re.compile("^full@google")).first.click()

    expect(page.get_by_label("To")).to_have_value(re.compile("^full@google"))


def test_the_transcript_shows_the_whole_session(page: Page) -> None:
    start(page, "no-such-user@gmail.example")
    failure = note(page, "no-such-user@gmail.example").first
    failure.get_by_text("How we know").click()

    failure.get_by_role("link", name="SMTP transcript").click()

    expect(page.locator(".transcript")).to_contain_text("RCPT TO:<no-such-user@gmail.example>")
    expect(page.locator(".transcript")).to_contain_text("550-5.1.1")


def test_a_narrow_window_does_not_scroll_sideways(page: Page) -> None:
    start(page, "no-such-user@google.sandbox.test")
    expect(note(page, "no-such-user@google.sandbox.test").first).to_be_visible()

    page.set_viewport_size({"width": 320, "height": 700})

    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_on_a_phone_the_views_and_the_contact_are_one_touch_away(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/inbox/open/")
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name=re.compile("^Unassigned")).click()
    expect(page.get_by_role("heading", level=1, name="Unassigned")).to_be_visible()

    page.goto("/inbox/open/")
    page.get_by_role("link", name="Where is my refund?").click()
    page.get_by_role("button", name="Contact").click()
    expect(page.get_by_role("complementary", name="Contact")).to_contain_text("ana@oldworks.example")
