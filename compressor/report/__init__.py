"""A batch run in numbers, for machines, and as an HTML page."""
