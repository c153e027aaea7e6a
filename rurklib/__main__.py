"""``python -m rurklib`` is the command ``rurk``."""

from rurklib.study.cli import main

main()
