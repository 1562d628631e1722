from enum import StrEnum


class EvidenceKind(StrEnum):
    OPERATOR = "operator"
    POWER_OFF = "power_off"

    def __str__(self) -> str:
        return str(self.value)
