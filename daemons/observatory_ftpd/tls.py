"""TLS of the FTP server: explicit (AUTH TLS), with a certificate that the config names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observatory_common.errors import InvalidConfig

if TYPE_CHECKING:
    from OpenSSL import SSL


@dataclass(frozen=True)
class TlsConfig:
    """PEM files of the certificate (with its chain) and its key; `required` refuses logins and transfers in clear."""

    certificate: str
    key: str
    required: bool = False


def server_context(config: TlsConfig) -> SSL.Context:
    """What the server speaks: TLS 1.2 or newer. Raises InvalidConfig, naming the file."""
    from OpenSSL import SSL

    for file in (config.certificate, config.key):
        try:
            with Path(file).open("rb") as opened:
                opened.read(1)
        except OSError as error:
            raise InvalidConfig(f"{file} cannot be read: {error.strerror}", value=file) from error
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    try:
        context.use_certificate_chain_file(config.certificate)
        context.use_privatekey_file(config.key)
        context.check_privatekey()
    except SSL.Error as error:
        why = "; ".join(part[-1] for part in error.args[0] if part[-1]) if error.args and error.args[0] else "not PEM"
        raise InvalidConfig(
            f"{config.certificate} and {config.key} are no certificate and its key in PEM: {why}", value=config.certificate
        ) from error
    return context
