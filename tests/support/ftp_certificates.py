"""Self-signed certificates for an FTP server."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make(folder: Path) -> dict[str, str]:
    """A certificate and its key in a folder, as the config names them. Needs the openssl command."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"certificate": str(folder / "ftpd.pem"), "key": str(folder / "ftpd.key")}
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", made["key"]]
    subject = ["-subj", "/CN=ftpd.example", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *key, "-out", made["certificate"], *subject, "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    return made
