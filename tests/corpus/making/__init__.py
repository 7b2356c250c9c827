"""What makes the mails of real servers: the little world on loopback, the cases, and the servers."""
