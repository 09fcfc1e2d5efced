"""`python -m hil`: the command line without its start script."""

from hil.cli.main import main

if __name__ == "__main__":
    main()
