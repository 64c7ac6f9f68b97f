"""`python -m observatory_cli.observatory`."""

from observatory_cli.observatory import main

main()
