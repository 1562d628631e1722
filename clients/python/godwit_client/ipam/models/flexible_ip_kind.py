from enum import StrEnum


class FlexibleIPKind(StrEnum):
    FAILOVER = "failover"
    STANDARD = "standard"

    def __str__(self) -> str:
        return str(self.value)
