"""Networks and their computation."""
