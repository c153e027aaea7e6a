"""The command ``rurk``: its subcommands, a file each; ``main`` is where it begins."""
