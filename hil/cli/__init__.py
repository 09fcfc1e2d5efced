"""The command line of `hil`: one module per command, in the order of `hil.cli.commands`."""
