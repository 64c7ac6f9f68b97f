"""What stands before every route: which names, origins and sizes are let in, how slow a client may be, which headers go out."""
