"""Streams: queues and width changers."""
