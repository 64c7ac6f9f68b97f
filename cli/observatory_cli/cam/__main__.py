"""`python -m observatory_cli.cam`."""

from observatory_cli.cam import main

main()
