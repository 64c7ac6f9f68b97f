"""The cameras themselves: one interface, a module for each kind."""
