"""The commands: focus and observatory. Clients like any other; of the daemons they import nothing."""
