from enum import StrEnum


class Condition(StrEnum):
    UNREACHABLE = "unreachable"
    UP = "up"

    def __str__(self) -> str:
        return str(self.value)
