"""Remote calls: Pyro5's wire protocol with msgpack, hardened at the daemon's end, quick to import at the client's."""
