from enum import StrEnum


class AdminState(StrEnum):
    DISABLED = "disabled"
    DRAINED = "drained"
    DRAINING = "draining"
    ENABLED = "enabled"

    def __str__(self) -> str:
        return str(self.value)
