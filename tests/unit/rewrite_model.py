"""What the NAT rewrite must do, written a second time: on bytes, by whole headers, with arithmetic modulo 65,535.

Nothing here follows the C code's ways: checksums are not patched word by word, but from the difference of all that they
cover, before and after.
"""

from __future__ import annotations

import struct

EMPTY, UNTOUCHED = bytes(4), b"\xff" * 4
ERRORS = {3, 4, 5, 11, 12}
CHECKED = {6: 16, 17: 6, 136: 6}  # protocol: where its checksum is


def from_public(packet: bytes, private: bytes) -> tuple[str, bytes]:
    """Verdict and packet, for what the public table answers of the destination."""
    if private == UNTOUCHED:
        return "passed_own", packet
    if private == EMPTY:
        return "dropped_miss_public", packet
    return rewritten(packet, packet[12:16], private, "rewritten")


def from_private(packet: bytes, public: bytes, private: bytes) -> tuple[str, bytes]:
    """The same, for the private table's answer of the source and the public table's of the destination."""
    if public in {UNTOUCHED, EMPTY}:
        return "dropped_miss_private", packet
    if private in {UNTOUCHED, EMPTY}:
        return rewritten(packet, public, packet[16:20], "rewritten")
    return rewritten(packet, public, private, "hairpinned")


def rewritten(packet: bytes, source: bytes, destination: bytes, verdict: str) -> tuple[str, bytes]:
    fault = fault_of(packet)
    if fault:
        return fault, packet
    if packet[8] <= 1:
        return "passed_ttl", packet
    return verdict, with_addresses(packet, source, destination)


def fault_of(packet: bytes) -> str | None:
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[0] & 15 < 5:
        return "dropped_length"
    header, total = (packet[0] & 15) * 4, word(packet, 2)
    if total < header or total > len(packet):
        return "dropped_length"
    return options_fault(packet[20:header]) or transport_fault(packet[header:total], packet[9], word(packet, 6))


def options_fault(options: bytes) -> str | None:
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
        elif options[0] in {131, 137}:
            return "dropped_source_route"
        elif len(options) < 2 or not 2 <= options[1] <= len(options):
            return "dropped_length"
        else:
            options = options[options[1] :]
    return None


def transport_fault(segment: bytes, protocol: int, fragment: int) -> str | None:
    if fragment & 0x1FFF:
        return None
    least = {1: 8, 6: 20, 17: 8, 136: 8}.get(protocol, 0)
    if len(segment) < least:
        return "dropped_length"
    most = 1 << 16 if fragment & 0x2000 else len(segment)
    claimed = {6: lambda: (segment[12] >> 4) * 4, 17: lambda: word(segment, 4), 136: lambda: word(segment, 4) or 8}
    if protocol in claimed and not least <= claimed[protocol]() <= most:
        return "dropped_length"
    return None


def with_addresses(packet: bytes, source: bytes, destination: bytes, *, complete: bool = False) -> bytes:
    """`complete`: a checksum is known not to be partial, whatever it looks like."""
    header, total = (packet[0] & 15) * 4, word(packet, 2)
    old_source, old_destination = packet[12:16], packet[16:20]
    head = readdressed(packet[:header], source, destination)
    segment, rest = packet[header:total], packet[total:]
    fragment, protocol = word(packet, 6), packet[9]
    if fragment & 0x1FFF:
        pass
    elif protocol in CHECKED:
        at, field = CHECKED[protocol], word(segment, CHECKED[protocol])
        before = pseudo(packet[:20], len(segment))
        after = pseudo(head[:20], len(segment))
        whole = ones(before) + ones(segment)
        if (
            not complete
            and field == fold(ones(before))
            and not fragment & 0x2000
            and protocol != 136
            and fold(whole) != 0xFFFF
        ):
            segment = stored(segment, at, fold(ones(after)))
        elif protocol == 6 or field:
            segment = stored(segment, at, nonzero(patched(field, before, after), protocol))
    elif protocol == 1 and segment[0] in ERRORS:
        quoted = requoted(segment[8:], {old_destination: destination}, {old_source: source})
        found = patched(word(segment, 2), segment[8:], quoted)
        segment = stored(segment[:8] + quoted, 2, found)
    return head + segment + rest


def requoted(inner: bytes, sources: dict[bytes, bytes], destinations: dict[bytes, bytes]) -> bytes:
    """The packet an ICMP error quotes, as much of it as there is."""
    if len(inner) < 20 or inner[0] >> 4 != 4 or inner[0] & 15 < 5:
        return inner
    header = (inner[0] & 15) * 4
    source, destination = inner[12:16], inner[16:20]
    head = readdressed(inner[:header], sources.get(source, source), destinations.get(destination, destination))
    segment, protocol = inner[header:], inner[9]
    at = CHECKED.get(protocol)
    if (
        at is not None
        and not word(inner, 6) & 0x1FFF
        and len(segment) >= at + 2
        and (protocol == 6 or word(segment, at))
    ):
        found = patched(word(segment, at), pseudo(inner[:20], 0), pseudo(head[:20], 0))
        segment = stored(segment, at, nonzero(found, protocol))
    return head + segment


def readdressed(head: bytes, source: bytes, destination: bytes) -> bytes:
    new = head[:12] + source + destination + head[20:]
    return stored(new, 10, patched(word(head, 10), head[12:20], new[12:20]))


def pseudo(head: bytes, length: int) -> bytes:
    return head[12:20] + struct.pack("!BBH", 0, head[9], length)


def patched(field: int, before: bytes, after: bytes) -> int:
    """A checksum after what it covers changed; the error of a wrong one stays what it was."""
    return ~fold((~field & 0xFFFF) + ones(bytes(~byte & 0xFF for byte in padded(before))) + ones(after)) & 0xFFFF


def fold(total: int) -> int:
    return total if total == 0 else (total - 1) % 0xFFFF + 1


def ones(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(padded(data)) // 2}H", padded(data)))


def padded(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def nonzero(field: int, protocol: int) -> int:
    return 0xFFFF if field == 0 and protocol != 6 else field


def word(data: bytes, at: int) -> int:
    return int(struct.unpack_from("!H", data, at)[0])


def stored(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("!H", value) + data[at + 2 :]
