"""What both ends of the wire agree on: registry, access, errors, remote calls, jobs, events, and a daemon's life."""
