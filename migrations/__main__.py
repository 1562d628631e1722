"""`python -m migrations SERVICE`: bring one service's schema to the newest version."""

from __future__ import annotations

import os
import sys

from common.migrate import upgrade


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in {"ipam", "placement"}:
        sys.exit("usage: python -m migrations ipam|placement")
    service = sys.argv[1]
    name = f"GODWIT_{service.upper()}_DATABASE_URL"
    if name not in os.environ:
        sys.exit(f"migrations: set {name} to the database's URL")
    upgrade(service, os.environ[name])


if __name__ == "__main__":
    main()
