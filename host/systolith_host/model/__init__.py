"""Networks: the graph, its built-in members and its weights."""
