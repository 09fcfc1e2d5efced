"""The command line of `hil`: one module per command, options in `options` and `goal_options`."""
