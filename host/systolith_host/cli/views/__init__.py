"""Results as tables and text for the terminal."""
