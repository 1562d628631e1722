"""`make clients`: everything under `clients/` that is not written by hand, made from the services' code.

The OpenAPI documents go to `clients/openapi/`; the Python client to `clients/python/godwit_client/`, a package for each
service, formatted so that two runs yield the same bytes; the TypeScript client to `clients/typescript/src/`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clients import node

HERE = Path(__file__).parent
NOWHERE = "postgresql+psycopg://nobody@localhost/none"
NO_BROKER = "redis://localhost:1/0"


def ipam_document() -> dict[str, Any]:
    """The ledger's OpenAPI document. The application is made, and opens nothing."""
    from services.ipam.app import create
    from services.ipam.settings import Settings as IpamSettings

    return create(IpamSettings(database_url=NOWHERE, broker_url=NO_BROKER, issuer_keys=HERE)).openapi()


def placement_document() -> dict[str, Any]:
    """The controller's OpenAPI document. The application is made, and opens nothing."""
    from services.placement.app import create
    from services.placement.settings import PlacementSettings

    with tempfile.TemporaryDirectory() as directory:
        key = Path(directory) / "placement.pem"
        key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        settings = PlacementSettings(
            database_url=NOWHERE,
            broker_url=NO_BROKER,
            ipam_url="http://localhost:1",
            issuer_keys=HERE,
            signing_key=key,
            certificate=HERE,
            certificate_key=HERE,
            node_ca=HERE,
        )
        return create(settings).openapi()


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {"ipam": ipam_document, "placement": placement_document}


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def path_of(service: str) -> Path:
    return HERE / "openapi" / f"{service}.json"


def generate_python(service: str, package: Path) -> None:
    """Write the Python client of the committed document of `service` to `package`."""
    document = json.loads(path_of(service).read_text(encoding="utf-8"))
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                _let_be_none(parameter)
    options = {"package_name_override": service, "project_name_override": f"godwit-{service}", "post_hooks": []}
    with tempfile.TemporaryDirectory() as directory:
        read, config = Path(directory) / "document.json", Path(directory) / "config.json"
        read.write_text(json.dumps(document), encoding="utf-8")
        config.write_text(json.dumps(options), encoding="utf-8")
        _run("openapi_python_client", "generate", "--path", str(read), "--meta", "none", "--config", str(config),
             "--custom-template-path", str(HERE / "python" / "templates"), "--output-path", str(package),
             "--overwrite", "--fail-on-warning")  # fmt: skip
    _run("ruff", "check", "--isolated", "--quiet", "--fix", "--select", "I,F401", "--ignore-noqa", str(package))
    _run("ruff", "format", "--isolated", "--quiet", "--line-length", "120", str(package))


def _let_be_none(parameter: dict[str, Any]) -> None:
    """In Python, `None` is how one says that a filter is not given."""
    if not parameter["required"] and "default" not in parameter["schema"]:
        parameter["schema"] = {"anyOf": [parameter["schema"], {"type": "null"}]}


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


def main() -> None:
    for service, document in DOCUMENTS.items():
        path_of(service).parent.mkdir(exist_ok=True)
        path_of(service).write_text(text_of(document()), encoding="utf-8")
        generate_python(service, HERE / "python" / "godwit_client" / service)
    node.generate(node.HERE / "src")


if __name__ == "__main__":
    main()
