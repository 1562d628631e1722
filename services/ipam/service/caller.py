"""Who asks: what every use case is given beside its transaction."""

from __future__ import annotations

from dataclasses import dataclass

from common.auth import Principal
from services.ipam.errors import ProjectNotYours, TargetKindNotYours


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal, the request it came with, and the revision it believes the resource to be at."""

    principal: Principal
    request_id: str
    expected_revision: int | None = None

    @property
    def scope(self) -> str | None:
        """The one project the caller sees; None sees all."""
        return None if self.principal.sees_all_projects else self.principal.project

    def filtered(self, project: str | None) -> str | None:
        """The project a list is restricted to: the caller's own, or any that who sees all asks for.

        Raises ProjectNotYours.
        """
        if project is None or self.scope is None or project == self.scope:
            return project or self.scope
        raise ProjectNotYours("the token is of another project; leave `project` out")

    def acting_for(self, project: str | None) -> str:
        """The project a new resource belongs to. Raises ProjectNotYours."""
        return self.filtered(project) or self.principal.project

    def require_kind(self, kind: str) -> None:
        """Raises RoleMissing, TargetKindNotYours."""
        self.principal.require("service")
        if kind not in self.principal.kinds:
            held = ", ".join(sorted(self.principal.kinds)) or "none"
            raise TargetKindNotYours(f"the token may register targets of kind {held}, not {kind}")
