"""The accelerator for other makers' tools: IP-XACT package and Vivado scripts."""
