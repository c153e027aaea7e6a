"""An audit of models that were made elsewhere: measured, judged, and written to a folder."""
