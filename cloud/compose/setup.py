"""`python -m cloud.compose.setup migrate|register`: what runs once in containers of their own, and then ends.

`migrate`: roles and schemas of both services, and their migrations. `register`: zone, nodes, pools and flavours through
the public APIs. Both may be repeated.
"""

from __future__ import annotations

import sys

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from cloud import bootstrap
from cloud.compose.layout import PLAN, PORTS, SECRETS
from cloud.pki import ISSUER, Pki
from cloud.plan import Stack
from cloud.postgres import DATABASE, USER, provisioning
from common import migrate
from common.auth import Principal, Signer
from common.errors import DomainError


def migrate_all() -> None:
    """Raises SQLAlchemyError."""
    urls = {service: _secret(f"godwit_{service}_database_url") for service in PORTS}
    passwords = {service: str(make_url(url).password) for service, url in urls.items()}
    superuser = URL.create("postgresql+psycopg", USER, _secret("postgres_password"), "postgres", database=DATABASE)
    engine = create_engine(superuser)
    with engine.begin() as connection:
        connection.execute(text(provisioning(passwords).replace(":", r"\:")))
    engine.dispose()
    for service, url in urls.items():
        migrate.upgrade(service, url)


def register() -> None:
    """Raises DomainError."""
    key = Signer.from_file(Pki(SECRETS).signing_key(ISSUER))
    operator = key.sign(Principal("register", "demo", frozenset({"operator"})), list(PORTS))
    apis = {service: f"http://{service}:{port}" for service, port in PORTS.items()}
    bootstrap.register(apis, PLAN, Stack.DUAL, operator)


def _secret(name: str) -> str:
    return (SECRETS / name).read_text().strip()


def main() -> None:
    works = {"migrate": migrate_all, "register": register}
    if len(sys.argv) != 2 or sys.argv[1] not in works:
        sys.exit("usage: python -m cloud.compose.setup migrate|register")
    try:
        works[sys.argv[1]]()
    except (DomainError, SQLAlchemyError) as error:
        sys.exit(f"{sys.argv[1]}: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    main()
