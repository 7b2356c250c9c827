"""The words of the mail standards, as values. No Django, no database, no network."""
