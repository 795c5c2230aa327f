"""What a layer's instructions cost on an accelerator and a memory, and why."""
