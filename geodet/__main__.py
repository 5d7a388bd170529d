"""``python -m geodet``: the command line."""

from geodet_cli.main import run

if __name__ == "__main__":
    run()
