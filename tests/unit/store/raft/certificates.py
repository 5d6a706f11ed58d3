"""A throw-away authority and certificates for nodes, made by the openssl command."""

import ssl
import subprocess
from pathlib import Path

from argyll.store.raft import TlsContexts


class Authority:
    """Signs certificates; everything stays in one directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.key, self.certificate = directory / f"{name}.key", directory / f"{name}.crt"
        subject = ["-subj", f"/CN={name}", "-days", "2", "-nodes"]
        openssl("req", "-x509", *EC_KEY, *subject, "-keyout", str(self.key), "-out", str(self.certificate))

    def contexts(self, node_id: str) -> TlsContexts:
        """Contexts for the node of that id."""
        key, request = self.directory / f"{node_id}.key", self.directory / f"{node_id}.csr"
        certificate = self.directory / f"{node_id}.crt"
        names = self.directory / f"{node_id}.ext"
        names.write_text(f"subjectAltName=DNS:{node_id}\n")
        openssl("req", "-new", *EC_KEY, "-nodes", "-subj", f"/CN={node_id}", "-keyout", str(key), "-out", str(request))
        signing = ["-CA", str(self.certificate), "-CAkey", str(self.key), "-CAcreateserial", "-days", "2"]
        openssl("x509", "-req", "-in", str(request), *signing, "-extfile", str(names), "-out", str(certificate))
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return TlsContexts(server, client)


EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
