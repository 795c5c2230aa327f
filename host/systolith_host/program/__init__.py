"""What the compiler makes and the runtime runs."""
