"""Proofs about the gateware by k-induction."""
