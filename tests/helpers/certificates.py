"""Certificates of an authority of one's own, made as docs/farm.md says."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificates(folder: Path) -> dict[str, str]:
    """Files of an authority and a certificate; returns Dask's settings (environment variables)."""
    ca, key, cert = folder / "farm-ca.pem", folder / "here-key.pem", folder / "here.pem"
    request, ca_key = folder / "here.csr", folder / "farm-ca-key.pem"
    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl(
        "req", "-x509", *elliptic, "-days", "9", "-subj", "/CN=farm", "-keyout", ca_key, "-out", ca
    )
    _openssl("req", *elliptic, "-subj", "/CN=here", "-keyout", key, "-out", request)
    signing = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "9")
    _openssl("x509", "-req", "-in", request, *signing, "-out", cert)
    settings = {"CA_FILE": ca}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings |= {f"{role}__CERT": cert, f"{role}__KEY": key}
    return {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        **{f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name, path in settings.items()},
    }


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
