"""The FTP server, on pyftpdlib."""

import pyftpdlib.ioloop  # noqa: F401 - before its other modules: this one keeps quiet about the age of asyncore
