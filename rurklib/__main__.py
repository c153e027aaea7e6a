"""``python -m rurklib`` is the command ``rurk``."""

from rurklib.cli import main

main(prog_name="rurk")
