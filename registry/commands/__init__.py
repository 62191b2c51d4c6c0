"""The commands: each module offers `add_arguments(parser)` and `run(arguments)`, and is imported only when chosen."""
