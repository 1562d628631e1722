"""Where the APIs are and which token to show: from the environment, or from a local cloud on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from pydantic_settings import SettingsConfigDict

from cli.problems import CommandError, Usage
from cloud import state
from cloud.compose import layout
from cloud.pki import ISSUER, Pki
from common.auth import LIFETIME_S, ROLES, Principal, Signer
from common.errors import NotFound
from common.settings import Settings

AUDIENCES = ["ipam", "placement"]
VARIABLES = ("GODWIT_IPAM_URL", "GODWIT_PLACEMENT_URL", "GODWIT_TOKEN")
DEFAULT_PROJECT = "demo"
HOW = f"start one with `sudo godwit cloud up`, or set {', '.join(VARIABLES)}"


@dataclass(frozen=True, slots=True)
class Access:
    """Base URLs of the two APIs and a bearer token."""

    ipam_url: str
    placement_url: str
    token: str


class DatabaseSettings(Settings):
    """Where the services' databases are, as the services themselves are told."""

    model_config = SettingsConfigDict(env_prefix="GODWIT_")

    ipam_database_url: str | None = None
    placement_database_url: str | None = None


@dataclass(frozen=True, slots=True)
class Databases:
    """Both services' databases by URL. `stopped` stops the services meanwhile; None: that is somebody else's to do."""

    urls: Mapping[str, str]
    stopped: Callable[[], AbstractContextManager[None]] | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where to look: a cloud named on the command line, then the environment, then the only cloud of this machine."""

    environment: Mapping[str, str]
    cloud: str | None = None
    project: str = DEFAULT_PROJECT

    def find(self) -> Access:
        """Raises Usage when some of it is known and some is not, CommandError when there is nothing to find."""
        given = {name: self.environment.get(name, "") for name in VARIABLES}
        if self.cloud is None and any(given.values()):
            missing = [name for name, value in given.items() if not value]
            if missing:
                raise Usage(f"{' and '.join(missing)} must be set as well", "access.incomplete")
            return Access(*(given[name] for name in VARIABLES))
        apis = self._apis()
        return Access(apis["ipam"], apis["placement"], self.token(self.project, frozenset({"operator"})))

    @property
    def is_local(self) -> bool:
        """Whether it is a local cloud of this machine, not one that the environment names."""
        return self.cloud != layout.NAME and (self.cloud is not None or not self.environment.get(VARIABLES[0]))

    def databases(self) -> Databases:
        """Raises Usage when one is known and the other is not, CommandError when there is nothing to find."""
        settings = DatabaseSettings()
        given = {"ipam": settings.ipam_database_url, "placement": settings.placement_database_url}
        if self.cloud == layout.NAME or (self.cloud is None and any(given.values())):
            missing = [f"GODWIT_{service.upper()}_DATABASE_URL" for service, url in given.items() if not url]
            if missing:
                raise Usage(f"{' and '.join(missing)} must be set", "access.incomplete")
            return Databases({service: url for service, url in given.items() if url}, None)
        from cloud import operations  # loading it takes longer than most commands take

        name = self.local().name
        return Databases(operations.database_urls(name), partial(operations.services_stopped, name))

    def _apis(self) -> Mapping[str, str]:
        if self.cloud == layout.NAME:
            from cloud.compose import operations  # loading it takes longer than most commands take

            return operations.apis()
        return self.local().apis

    def local(self) -> state.State:
        """The local cloud that is meant. Raises CommandError, Usage."""
        try:
            return state.load(self.cloud or only_cloud())
        except NotFound as error:
            raise CommandError(error.message, "cloud.not_found") from error
        except PermissionError as error:
            raise CommandError(f"the local cloud belongs to root: use sudo, or {HOW}", "cloud.root_needed") from error

    def token(self, project: str, roles: frozenset[str], subject: str = "cli", lifetime_s: int = LIFETIME_S) -> str:
        """A token of the cloud's own issuer. Raises CommandError, Usage, NotFound."""
        if self.cloud == layout.NAME:
            from cloud.compose import operations

            return operations.token(project=project, roles=sorted(roles), subject=subject, lifetime_s=lifetime_s)
        key = Pki(self.local().plan.paths.pki).signing_key(ISSUER)
        return Signer.from_file(key).sign(Principal(subject, project, roles), AUDIENCES, lifetime_s)


def only_cloud() -> str:
    """Raises CommandError where there is none, Usage where there are several."""
    names = state.names()
    if not names:
        raise CommandError(f"no cloud is known; {HOW}", "cloud.none")
    if len(names) > 1:
        raise Usage(f"say which cloud: --cloud with one of {', '.join(names)}", "cloud.ambiguous")
    return names[0]


def checked_roles(names: list[str]) -> frozenset[str]:
    """Raises Usage for a role that does not exist."""
    unknown = [name for name in names if name not in ROLES]
    if unknown:
        raise Usage(f"there is no role {unknown[0]!r}; there are {', '.join(sorted(ROLES))}", "token.role")
    return frozenset(names)
