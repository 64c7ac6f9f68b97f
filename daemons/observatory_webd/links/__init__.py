"""The clients of the daemons: calls that never wait without a bound, what each daemon last said, its events."""
