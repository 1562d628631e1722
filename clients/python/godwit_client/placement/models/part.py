from enum import StrEnum


class Part(StrEnum):
    AGENT = "agent"
    ANNOUNCEMENT = "announcement"
    APART = "apart"
    CONTROLLER = "controller"
    EDGE_ROUTE = "edge_route"
    FALLBACK = "fallback"
    GUARD = "guard"
    GUEST = "guest"
    HOSTNAT = "hostnat"
    LEDGER = "ledger"
    LINK = "link"
    NAT_IN = "nat_in"
    NAT_OUT = "nat_out"
    ROUTE = "route"

    @classmethod
    def _missing_(cls, value: object) -> "Part | None":
        """A value that this client does not know: a newer service may send it, and judges it when it is sent."""
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = value, value
        return unknown

    def __str__(self) -> str:
        return str(self.value)
