"""The bounce engine: bytes to what came back, text to what it means. No Django, no database, no network."""
