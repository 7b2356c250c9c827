"""The queue in a real browser: hold and release, bulk work with its progress, a list that keeps what is ticked."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

from playwright.sync_api import Page, expect

from tests.browser.conftest import RunningDesk

_REPLIES = """
import uuid
from datetime import timedelta
from django.utils import timezone
from telltale.accounts.models import Agent
from telltale.conversations.models import Conversation
from telltale.delivery.actions import send_reply
from telltale.delivery.composing import Recipient
from telltale.delivery.models import Delivery

agent = Agent.objects.get(name="Maya")
conversations = list(Conversation.objects.order_by("pk"))
for start in range(0, {count}, 20):
    send_reply(
        conversations[start // 20 % len(conversations)],
        agent=agent,
        recipients=[
            Recipient(Delivery.Role.TO, f"person{{number}}@{domain}")
            for number in range(start, min(start + 20, {count}))
        ],
        body="Soon.",
        key=uuid.uuid4(),
        leave_at=timezone.now() + timedelta(hours=2),
    )
"""


def schedule_replies(desk: RunningDesk, count: int) -> str:
    """So many deliveries that leave in two hours, to a domain of their own, which is returned."""
    domain = f"q{uuid.uuid4().hex[:8]}.example"
    telltale(desk, "manage", "shell", "-v", "0", "-c", _REPLIES.format(count=count, domain=domain))
    return domain


def telltale(desk: RunningDesk, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "telltale", *words],
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TELLTALE_", "DATABASE_"))
        }
        | {"TELLTALE_DATA": str(desk.data), "SECRET_KEY": ""},
        check=True,
        capture_output=True,
    )


def test_a_delivery_is_held_and_released_from_the_page(page: Page, running_desk: RunningDesk) -> None:
    domain = schedule_replies(running_desk, 1)
    page.goto(f"/queue/?destination={domain}")

    page.get_by_role("checkbox", name=f"person0@{domain}").check()
    page.get_by_role("button", name="Hold", exact=True).click()

    expect(page.get_by_role("status")).to_have_text("1 delivery was held.")
    row = page.locator("tr", has_text=f"person0@{domain}")
    expect(row).to_contain_text("held: by a person")
    expect(page.get_by_role("link", name="Queue")).to_have_class("alert")

    page.get_by_role("checkbox", name=f"person0@{domain}").check()
    page.get_by_role("button", name="Release", exact=True).click()

    expect(page.get_by_role("status")).to_have_text("1 delivery was released.")
    expect(row).to_contain_text("goes out")


def test_bulk_work_shows_its_progress_and_survives_a_reload(page: Page, running_desk: RunningDesk) -> None:
    domain = schedule_replies(running_desk, 300)
    page.goto(f"/queue/?destination={domain}")
    expect(page.get_by_role("heading", name="300 deliveries")).to_be_visible()

    page.locator("#queue-which").select_option("matching")
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.locator("#work")).to_contain_text(f"300 deliveries match (destination {domain})")
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.reload()

    # Those of the request that the reload cut off are held, and counted by nobody.
    expect(page.locator("#work")).to_contain_text("Done.", timeout=60_000)
    page.goto(f"/queue/?destination={domain}&state=held")
    expect(page.get_by_role("heading", name="300 deliveries")).to_be_visible()
    expect(page.locator("tr .fate.held")).to_have_count(50)
    telltale(running_desk, "queue", "cancel", "--destination", domain)


def test_a_live_change_comes_in_and_leaves_alone_what_is_ticked_and_typed(
    page: Page, running_desk: RunningDesk
) -> None:
    domain = schedule_replies(running_desk, 2)
    page.goto(f"/queue/?destination={domain}")
    page.get_by_role("checkbox", name=f"person0@{domain}").check()
    page.locator("#filter-recipient").fill("half an addr")
    page.locator("#filter-state").select_option("held")

    telltale(running_desk, "queue", "hold", "--recipient", f"person1@{domain}")

    expect(page.locator("tr", has_text=f"person1@{domain}")).to_contain_text("held: by a person")
    expect(page.get_by_role("checkbox", name=f"person0@{domain}")).to_be_checked()
    expect(page.locator("#filter-recipient")).to_have_value("half an addr")
    expect(page.locator("#filter-state")).to_have_value("held")
    telltale(running_desk, "queue", "cancel", "--destination", domain)


def test_the_page_fits_every_width(page: Page) -> None:
    for width in (320, 720, 1100, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/queue/")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        main = page.evaluate(
            "[document.querySelector('main').scrollWidth, document.querySelector('main').clientWidth]"
        )
        assert main[0] <= main[1], width
