"""The report's pictures as plotly figures; each file draws one subject from assembled data."""
