from enum import StrEnum


class PartOf(StrEnum):
    FABRIC = "fabric"
    GUEST = "guest"

    def __str__(self) -> str:
        return str(self.value)
