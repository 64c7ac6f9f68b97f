"""`python -m observatory_cli.focus`."""

from observatory_cli.focus import main

main()
