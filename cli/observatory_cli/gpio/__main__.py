"""`python -m observatory_cli.gpio`."""

from observatory_cli.gpio import main

main()
