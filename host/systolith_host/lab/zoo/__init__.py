"""Well-known networks: their files, and what becomes of them."""
