"""What each technology builds in its own way: multipliers and memories with their registers."""
