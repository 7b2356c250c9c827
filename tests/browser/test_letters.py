"""A formatted mail, taken at the SMTP door and looked at in Chromium: whole, still, and apart from the desk."""

from __future__ import annotations

import re
import smtplib
from base64 import b64decode
from email.message import EmailMessage

from playwright.sync_api import expect

HOSTILE = """\
<h2>Two lamps are <b style="color: #c00">broken</b></h2>
<img src="cid:lamp@shop.example" alt="A lamp" width="40" height="40">
<p style="position: fixed; top: 0; left: 0; width: 5000px; height: 5000px">over everything</p>
<script>parent.document.title = "owned"</script>
<img src="x" onerror="parent.document.title = 'owned'">
<img src="http://127.0.0.1:1/open.gif" alt="Logo">
<form action="/sign-out/" method="post"><button>Sign in again</button></form>
<p style="height: 900px">a long way down</p><p>the end</p>
"""
GIF = b64decode("R0lGODlhAQABAIAAAP8AAAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")  # one red pixel


def send(desk, html: str, subject: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Greta <greta@shop.example>", "support@lamp.example", subject
    mail.set_content("Two lamps are broken.")
    mail.add_alternative(html, subtype="html")
    mail.get_payload()[1].add_related(GIF, "image", "gif", cid="<lamp@shop.example>", filename="lamp.gif")
    [port] = re.findall(r"the SMTP door is open at 127\.0\.0\.1:(\d+)", log_of(desk))[-1:]
    with smtplib.SMTP("127.0.0.1", int(port)) as client:
        client.send_message(mail)


def log_of(desk) -> str:
    return (desk.data / "logs/receive.log").read_text()


def test_a_formatted_mail_is_shown_whole_and_can_do_nothing_to_the_desk(page, running_desk):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/inbox/open/")
    send(running_desk, HOSTILE, "Broken lamps")
    page.get_by_text("Broken lamps").first.click()
    letter = page.frame_locator("iframe.formatted")

    expect(letter.get_by_role("heading")).to_have_text("Two lamps are broken")
    expect(letter.get_by_text("the end")).to_be_visible()
    expect(page).to_have_title(re.compile("Broken lamps"))
    expect(letter.get_by_role("button")).to_have_count(0)
    lamp = letter.get_by_alt_text("A lamp")
    assert lamp.evaluate("image => image.complete && image.naturalWidth") == 1

    frame = page.locator("iframe.formatted")
    expect(frame).to_have_attribute("style", re.compile(r"height: (?:9\d\d|\d{4})px"))
    over = letter.get_by_text("over everything").bounding_box()
    around = frame.bounding_box()
    assert over
    assert around
    assert over["y"] >= around["y"]
    assert [url for url in asked if not url.startswith(running_desk.url)] == []


def test_pictures_from_elsewhere_are_asked_for_by_the_desk_and_not_by_the_browser(
    browser, running_desk, signed_in
):
    context = browser.new_context(base_url=running_desk.url, storage_state=signed_in)
    page = context.new_page()  # it may log an error: the picture's address is no public one
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    send(running_desk, "<b>Offer</b> <img src='http://127.0.0.1:1/open.gif' alt='Logo'>", "An offer")
    page.goto("/inbox/open/")
    page.get_by_text("An offer").first.click()
    letter = page.frame_locator("iframe.formatted")
    expect(letter.get_by_text("1 picture from elsewhere is not loaded")).to_be_visible()
    assert not [url for url in asked if "remote-images" in url]

    with page.expect_request(re.compile("/remote-images/")):
        letter.get_by_text("Show").click()

    expect(letter.get_by_text("not loaded")).to_have_count(0)
    assert [url for url in asked if not url.startswith(running_desk.url)] == []
    context.close()
