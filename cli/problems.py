"""How the command ends: exit codes, and errors that become one line on standard error."""

from __future__ import annotations

OK = 0
REFUSED = 1  # the API, or this machine, answered with an error
USAGE = 2
FAILED = 3  # an operation was accepted and failed later
UNREACHABLE = 4  # nothing answered


class CommandError(Exception):
    """Ends the command with `exit_code` and the line `godwit: MESSAGE (CODE)`."""

    def __init__(self, message: str, code: str, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.exit_code = exit_code


class Usage(CommandError):
    """The command line cannot be understood, or asks for what cannot be."""

    def __init__(self, message: str, code: str = "usage") -> None:
        super().__init__(message, code, USAGE)


CODES = {
    "address": "ipam.flexible_ip",
    "pool": "ipam.pool",
    "prefix": "ipam.prefix",
    "instance": "placement.instance",
    "hypervisor": "placement.node",
    "flavor": "placement.flavor",
    "zone": "placement.zone",
}
"""What the command looks up, and how the codes of the API that knows it begin."""


class NotFound(CommandError):
    """What the command line names does not exist for this caller; the code is the API's own."""

    def __init__(self, what: str, name: str, hint: str = "") -> None:
        super().__init__(f"there is no {what} {name!r}{hint}", f"{CODES[what]}.unknown")


class Ambiguous(CommandError):
    """More than one thing bears the name."""

    def __init__(self, what: str, name: str, ids: list[str]) -> None:
        several = f"{what}es" if what.endswith(("s", "x")) else f"{what}s"
        super().__init__(f"{name!r} names several {several}; use an id: {', '.join(ids)}", f"{CODES[what]}.ambiguous")


class Unreachable(CommandError):
    """No API answered."""

    def __init__(self, message: str, code: str = "api.unreachable") -> None:
        super().__init__(message, code, UNREACHABLE)
