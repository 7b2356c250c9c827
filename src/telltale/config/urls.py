"""Every address of the desk. A resource per noun; a new noun rather than a verb."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from telltale.web.views import (
    conversations,
    deliveries,
    files,
    guide,
    inbox,
    queue,
    sandbox,
    sign_in,
    welcome,
)

urlpatterns = [
    path("", inbox.home, name="inbox"),
    path("inbox/<slug:view>/", inbox.view, name="view"),
    path("inbox/<slug:view>/rows", inbox.rows, name="rows"),
    path("conversations/new", conversations.new, name="new-conversation"),
    path("conversations/<int:pk>/", conversations.show, name="conversation"),
    path("conversations/<int:pk>/changes", conversations.changes, name="changes"),
    path("conversations/<int:pk>/replies", conversations.replies, name="replies"),
    path("conversations/<int:pk>/notes", conversations.notes, name="notes"),
    path("conversations/<int:pk>/draft", conversations.draft, name="draft"),
    path("conversations/<int:pk>/checks", conversations.checks, name="checks"),
    path("conversations/<int:pk>/state", conversations.state, name="state"),
    path("conversations/<int:pk>/assignee", conversations.assignee, name="assignee"),
    path("conversations/<int:pk>/attachments", files.attachments, name="attachments"),
    path("replies/<int:pk>/withdrawal", conversations.withdrawal, name="withdrawal"),
    path("replies/<int:pk>/departure", conversations.departure, name="departure"),
    path("attachments/<int:pk>", files.attachment, name="attachment"),
    path("attachments/<int:pk>/removal", files.removal, name="attachment-removal"),
    path("deliveries/<int:pk>/attempts", deliveries.attempts, name="attempts"),
    path("deliveries/<int:pk>/alternatives", deliveries.alternatives, name="alternatives"),
    path("deliveries/<int:pk>/cancellation", deliveries.cancellation, name="cancellation"),
    path("notes/<int:pk>/handling", deliveries.handling, name="handling"),
    path("attempts/<int:pk>/transcript", deliveries.transcript, name="transcript"),
    path("queue/", queue.show, name="queue"),
    path("queue/live", queue.live, name="queue-live"),
    path("queue/work", queue.work, name="queue-work"),
    path("queue/work/progress", queue.progress, name="queue-progress"),
    path("queue/work/steps", queue.steps, name="queue-steps"),
    path("queue/incidents/<int:pk>/", queue.incident, name="incident"),
    path("queue/incidents/<int:pk>/closing", queue.closing, name="incident-closing"),
    path("queue/mailboxes/<int:pk>/pause", queue.pause, name="mailbox-pause"),
    path("queue/mailboxes/<int:pk>/resumption", queue.resumption, name="mailbox-resumption"),
    path("queue/limits", queue.limits, name="queue-limits"),
    path("guide/", guide.show, name="guide"),
    path("sandbox/", sandbox.show, name="sandbox"),
    path("welcome/", welcome.admin, name="welcome"),
    path("mailboxes/new", welcome.mailbox, name="new-mailbox"),
    path("sign-in/", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-in/<int:pk>/<str:token>", sign_in.link, name="sign-in-link"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
]
