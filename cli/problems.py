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


class NotFound(CommandError):
    """What the command line names does not exist for this caller."""

    def __init__(self, what: str, name: str, hint: str = "") -> None:
        kind = what.lower().replace(" ", "_")
        super().__init__(f"there is no {what} {name!r}{hint}", f"{kind}.not_found")


class Ambiguous(CommandError):
    """More than one thing bears the name."""

    def __init__(self, what: str, name: str, ids: list[str]) -> None:
        shown = ", ".join(ids)
        kind = what.lower().replace(" ", "_")
        super().__init__(f"{name!r} names several {what}s: use an id ({shown})", f"{kind}.ambiguous")


class OperationFailed(CommandError):
    """An operation that was waited for did not succeed."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code, FAILED)


class Unreachable(CommandError):
    """No API answered."""

    def __init__(self, message: str, code: str = "api.unreachable") -> None:
        super().__init__(message, code, UNREACHABLE)
