from enum import StrEnum


class PortState(StrEnum):
    ADOPTED = "adopted"
    BLOCKED = "blocked"
    CONVERTING = "converting"
    FAILED = "failed"
    GONE = "gone"
    NEEDS_OPERATOR = "needs_operator"
    ROLLING_BACK = "rolling_back"
    SEALED = "sealed"
    VERIFIED = "verified"
    WAITING = "waiting"

    def __str__(self) -> str:
        return str(self.value)
