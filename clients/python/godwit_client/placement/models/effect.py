from enum import StrEnum


class Effect(StrEnum):
    BLOCKS = "blocks"
    WARNS = "warns"

    def __str__(self) -> str:
        return str(self.value)
