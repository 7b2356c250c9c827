"""The SMTP client side: where to connect, one session, what went wrong there. No Django, no database."""
