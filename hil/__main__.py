"""The start of the command `hil`, also as `python -m hil`: signals first, then the slow imports."""

from hil.interruption import install


def start() -> None:
    """Run the command line and exit."""
    install()
    from hil.cli.main import main

    main()


if __name__ == "__main__":
    start()
