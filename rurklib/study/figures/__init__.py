"""Figures: frames and arrays in, matplotlib figures out. Nothing here knows of models or runs."""
