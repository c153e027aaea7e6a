"""What a run shows to people: saved figures, tables, and one HTML page."""
