from enum import StrEnum


class Phase(StrEnum):
    ABORTED = "aborted"
    ABORTING = "aborting"
    CANARY = "canary"
    DONE = "done"
    DRAINING = "draining"
    DUAL = "dual"
    NO_NEW_NAT = "no_new_nat"
    PLANNED = "planned"
    TAIL = "tail"
    WAVES = "waves"

    @classmethod
    def _missing_(cls, value: object) -> "Phase | None":
        """A value that this client does not know: a newer service may send it, and judges it when it is sent."""
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = value, value
        return unknown

    def __str__(self) -> str:
        return str(self.value)
