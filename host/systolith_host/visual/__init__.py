"""Pictures of what a network costs: the HTML report, its figures, timelines and their export."""
