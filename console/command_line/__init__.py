"""The actions of `manage.py campaign`: each a module with `HELP`, `add_arguments` and `run`."""
