"""Blocks that a technology may replace (multipliers, memories), and small shared blocks."""
