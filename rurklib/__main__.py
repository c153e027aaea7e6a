"""``python -m rurklib`` is the command ``rurk``."""

from rurklib.study.cli.main import main

main(prog_name="rurk")
