"""The command line `litecot`: one module a command where it has more to it than printing."""
