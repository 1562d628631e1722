from enum import StrEnum


class MoveKind(StrEnum):
    COLD = "cold"
    LIVE = "live"

    @classmethod
    def _missing_(cls, value: object) -> "MoveKind | None":
        """A value that this client does not know: a newer service may send it, and judges it when it is sent."""
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = value, value
        return unknown

    def __str__(self) -> str:
        return str(self.value)
