"""Links, addresses, routes and neighbours of a Linux network namespace: values in, values out, no policy.

Everything happens in the namespace in which `Linux` was made; the sysctls, in that of the calling thread, which must be
the same. Links of a neighbouring namespace are read by its `netnsid`, which the kernel puts beside a veth whose other
end lies there; they are written through a socket that was opened there. Both need CAP_NET_ADMIN only, no entering.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from pathlib import Path

from dataplane import netlink as nl

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

OUR_PROTOCOL = 71  # rtnetlink protocol number: the mark of our routes and neighbours

AF_BRIDGE = 7
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_PROTINFO, IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_NET_NS_FD = 12, 16, 18, 20, 28
IFLA_LINK_NETNSID, IFLA_TARGET_NETNSID = 37, 46
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER = 1
BRPORT_STATE, BRPORT_LEARNING, BRPORT_UNICAST_FLOOD, BRPORT_MCAST_FLOOD, BRPORT_BCAST_FLOOD = 1, 8, 9, 27, 30
BR_FORWARD_DELAY, BR_STP_STATE, BR_MCAST_SNOOPING = 1, 5, 23
PORT_FORWARDING = 3  # a bridge port's state; that of a link that is down is 0, disabled
IFF_UP = 1
OPER_UP = 6

IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NODAD, IFA_F_NOPREFIXROUTE = 0x02, 0x200

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH, RTA_TABLE, RTA_VIA = 1, 4, 5, 6, 7, 9, 15, 18
RTN_UNICAST, RTN_UNREACHABLE = 1, 7
RTNH_F_ONLINK = 4
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
RTM_F_FIB_MATCH = 0x2000
MAIN = 254

NDA_DST, NDA_LLADDR, NDA_PROTOCOL = 1, 2, 12
NUD_PERMANENT, NUD_NOARP = 0x80, 0x40
NTF_SELF, NTF_MASTER = 0x02, 0x04

_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst len, src len, tos, table, protocol, scope, type, flags
_NDMSG = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_NEXTHOP = struct.Struct("=HBBi")  # length, flags, hops, index


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface. `peer` and `netnsid` say where the other end of a veth lies."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    running: bool  # has carrier
    alias: str
    kind: str
    master: int
    peer: int
    netnsid: int | None
    port_state: int | None  # as a bridge's port: 0 disabled … 3 forwarding
    mute: bool = False  # as a bridge's port


@dataclass(frozen=True, slots=True)
class BridgePort:
    """How a bridge treats a port: `state` 0 is disabled, 3 forwarding; a mute one is not flooded. No port learns.

    None leaves a part as it is.
    """

    state: int | None
    mute: bool | None


@dataclass(frozen=True, slots=True)
class Route:
    """One row of a routing table. `unreachable` rows have no link."""

    table: int
    prefix: Prefix
    metric: int
    unreachable: bool = False
    oif: int = 0
    gateway: Address | None = None
    onlink: bool = False
    source: Address | None = None
    protocol: int = OUR_PROTOCOL

    @property
    def key(self) -> tuple[int, Prefix, int]:
        return (self.table, self.prefix, self.metric)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One row of the neighbour table."""

    index: int
    mac: str
    address: Address
    permanent: bool = True
    protocol: int = OUR_PROTOCOL


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(raw: bytes) -> str:
    return raw.hex(":")


def link_local(mac: str) -> IPv6Address:
    """The EUI-64 link-local address of a MAC (RFC 4291, appendix A)."""
    raw = mac_bytes(mac)
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:])


def _family(of: Address | Prefix | Interface) -> int:
    return socket.AF_INET if of.version == 4 else socket.AF_INET6


class Linux:
    """The kernel of one network namespace. Thread-safe, save that sysctls follow the calling thread's namespace."""

    def __init__(self, descriptor: int | None = None) -> None:
        """With `descriptor`, the namespace in which that netlink socket was opened; it is closed with this object."""
        self._kernel = nl.Connection(descriptor)

    def close(self) -> None:
        self._kernel.close()

    # --- links -------------------------------------------------------------------------------------------------------

    def link(self, name: str = "", *, index: int = 0, netnsid: int | None = None) -> Link | None:
        body = _IFINFO.pack(0, 0, index, 0, 0) + _target(netnsid)
        try:
            answers = self._kernel.request(RTM_GETLINK, body + (nl.text(IFLA_IFNAME, name) if name else b""))
        except nl.NetlinkError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _link(answers[0][1])

    def links(self, netnsid: int | None = None) -> list[Link]:
        body = _IFINFO.pack(0, 0, 0, 0, 0) + _target(netnsid)
        return [_link(raw) for _, raw in self._kernel.dump(RTM_GETLINK, body)]

    def add_veth(self, name: str, index: int, mac: str, mtu: int, peer: tuple[str, int, int]) -> None:
        """A pair, both ends down; `peer` is the other end's name, index and the descriptor of its namespace.

        Both indexes are given so that they differ: the kernel takes up to a second to tell that a link whose index
        equals its peer's has lost carrier.
        """
        peer_name, peer_index, peer_namespace = peer
        other = nl.nested(
            VETH_INFO_PEER,
            _IFINFO.pack(0, 0, peer_index, 0, 0),
            nl.text(IFLA_IFNAME, peer_name),
            nl.u32(IFLA_MTU, mtu),
            nl.u32(IFLA_NET_NS_FD, peer_namespace),
        )
        info = nl.nested(IFLA_LINKINFO, nl.text(INFO_KIND, "veth"), nl.nested(INFO_DATA, other))
        ours = nl.text(IFLA_IFNAME, name) + nl.attribute(IFLA_ADDRESS, mac_bytes(mac)) + nl.u32(IFLA_MTU, mtu)
        self._kernel.request(RTM_NEWLINK, _IFINFO.pack(0, 0, index, 0, 0) + ours + info, nl.F_CREATE | nl.F_EXCL)

    def add_bridge(self, name: str, mac: str) -> None:
        """A bridge without spanning tree or snooping, down."""
        data = nl.nested(INFO_DATA, nl.u32(BR_FORWARD_DELAY, 0), nl.u32(BR_STP_STATE, 0), nl.u8(BR_MCAST_SNOOPING, 0))
        info = nl.nested(IFLA_LINKINFO, nl.text(INFO_KIND, "bridge"), data)
        body = nl.text(IFLA_IFNAME, name) + nl.attribute(IFLA_ADDRESS, mac_bytes(mac)) + info
        self._kernel.request(RTM_NEWLINK, _IFINFO.pack(0, 0, 0, 0, 0) + body, nl.F_CREATE | nl.F_EXCL)

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        alias: str | None = None,
        mac: str | None = None,
        mtu: int | None = None,
        master: int | None = None,
    ) -> None:
        body = _IFINFO.pack(0, 0, index, IFF_UP if up else 0, 0 if up is None else IFF_UP)
        if alias is not None:
            body += nl.text(IFLA_IFALIAS, alias)
        if mac is not None:
            body += nl.attribute(IFLA_ADDRESS, mac_bytes(mac))
        if mtu is not None:
            body += nl.u32(IFLA_MTU, mtu)
        if master is not None:
            body += nl.u32(IFLA_MASTER, master)
        self._kernel.request(RTM_NEWLINK, body)

    def set_port(self, index: int, port: BridgePort) -> None:
        """By a bridge message: an ordinary link message announces a change, upon which the bridge enables the port."""
        data = nl.u8(BRPORT_LEARNING, 0)
        if port.mute is not None:
            flags = (BRPORT_UNICAST_FLOOD, BRPORT_MCAST_FLOOD, BRPORT_BCAST_FLOOD)
            data += b"".join(nl.u8(flag, not port.mute) for flag in flags)
        if port.state is not None:
            data += nl.u8(BRPORT_STATE, port.state)
        body = _IFINFO.pack(AF_BRIDGE, 0, index, 0, 0) + nl.nested(IFLA_PROTINFO, data)
        self._kernel.request(RTM_SETLINK, body)

    def steer(self, index: int, mac: str) -> None:
        """A bridge sends what is for `mac` to that port, from one frame to the next."""
        body = _NDMSG.pack(AF_BRIDGE, index, NUD_NOARP, NTF_MASTER, 0) + nl.attribute(NDA_LLADDR, mac_bytes(mac))
        self._kernel.request(RTM_NEWNEIGH, body, nl.F_CREATE | nl.F_REPLACE)

    def delete_link(self, index: int) -> None:
        _unless(errno.ENODEV, self._kernel, RTM_DELLINK, _IFINFO.pack(0, 0, index, 0, 0))

    # --- addresses ---------------------------------------------------------------------------------------------------

    def addresses(self, index: int = 0) -> list[tuple[int, Interface]]:
        """(link index, address), of one link or of all."""
        found: list[tuple[int, Interface]] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            for _, raw in self._kernel.dump(RTM_GETADDR, _IFADDR.pack(family, 0, 0, 0, index)):
                _, length, _, _, link = _IFADDR.unpack_from(raw)
                held = nl.attributes(raw, _IFADDR.size)
                packed = held.get(IFA_LOCAL) or held[IFA_ADDRESS]
                found.append((link, ip_interface((packed, length))))
        return found

    def add_address(self, index: int, address: Interface) -> None:
        """Without duplicate detection, nor (unless link-local) a route to its prefix; repeating changes nothing."""
        flags = 0 if address.ip.is_link_local else IFA_F_NOPREFIXROUTE
        if address.version == 6:
            flags |= IFA_F_NODAD
        body = _address(index, address) + nl.u32(IFA_FLAGS, flags)
        self._kernel.request(RTM_NEWADDR, body, nl.F_CREATE | nl.F_REPLACE)

    def delete_address(self, index: int, address: Interface) -> None:
        _unless(errno.EADDRNOTAVAIL, self._kernel, RTM_DELADDR, _address(index, address))

    # --- routes ------------------------------------------------------------------------------------------------------

    def add_route(self, route: Route, *, replace: bool) -> None:
        """Without `replace`, an existing row of that key is refused with EEXIST, whoever it belongs to."""
        self._kernel.request(
            RTM_NEWROUTE, _route_message(route), nl.F_CREATE | (nl.F_REPLACE if replace else nl.F_EXCL)
        )

    def delete_route(self, route: Route) -> None:
        """The exact row; no error when it is not there."""
        _unless(errno.ESRCH, self._kernel, RTM_DELROUTE, _route_message(route))

    def routes(self, table: int, protocol: int = 0) -> Iterator[Route]:
        """Rows of a table, of every protocol or (`protocol`) of one."""
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _RTMSG.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0) + nl.u32(RTA_TABLE, table)
            try:
                rows = self._kernel.dump(RTM_GETROUTE, body)
            except nl.NetlinkError as error:
                if error.errno == errno.ENOENT:  # nothing was ever put in that table
                    continue
                raise
            for kind, raw in rows:
                if kind == RTM_NEWROUTE and (route := parse_route(raw)) is not None:
                    yield route

    def next_hops(self, address: Address) -> list[Address]:
        """Where this kernel would send a packet to `address`; of a link without gateway, `address` itself."""
        body = _RTMSG.pack(_family(address), address.max_prefixlen, 0, 0, 0, 0, 0, 0, RTM_F_FIB_MATCH)
        try:
            answers = self._kernel.request(RTM_GETROUTE, body + nl.attribute(RTA_DST, address.packed))
        except nl.NetlinkError as error:
            if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EINVAL):
                return []
            raise
        raw = answers[0][1]
        header = _RTMSG.unpack_from(raw)
        if header[7] != RTN_UNICAST:
            return []
        held = nl.attributes(raw, _RTMSG.size)
        if RTA_MULTIPATH not in held:
            return [_gateway(held) or address]
        return [_gateway(hop) or address for hop in _hops(held[RTA_MULTIPATH])]

    # --- neighbours --------------------------------------------------------------------------------------------------

    def neighbour(self, index: int, address: Address) -> Neighbour | None:
        body = _NDMSG.pack(_family(address), index, 0, 0, 0) + nl.attribute(NDA_DST, address.packed)
        try:
            answers = self._kernel.request(RTM_GETNEIGH, body)
        except nl.NetlinkError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return None
            raise
        return _neighbour(answers[0][1])

    def neighbours(self, index: int = 0) -> Iterator[Neighbour]:
        """Our neighbours, of one link or of all."""
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _NDMSG.pack(family, 0, 0, 0, 0) + (nl.u32(8, index) if index else b"")  # 8: NDA_IFINDEX
            for _, raw in self._kernel.dump(RTM_GETNEIGH, body):
                if (row := _neighbour(raw)) is not None and row.protocol == OUR_PROTOCOL:
                    yield row

    def put_neighbour(self, row: Neighbour) -> None:
        body = _NDMSG.pack(_family(row.address), row.index, NUD_PERMANENT, 0, 0)
        body += nl.attribute(NDA_DST, row.address.packed) + nl.attribute(NDA_LLADDR, mac_bytes(row.mac))
        self._kernel.request(RTM_NEWNEIGH, body + nl.u8(NDA_PROTOCOL, OUR_PROTOCOL), nl.F_CREATE | nl.F_REPLACE)

    def delete_neighbour(self, index: int, address: Address) -> None:
        body = _NDMSG.pack(_family(address), index, 0, 0, 0) + nl.attribute(NDA_DST, address.packed)
        _unless(errno.ENOENT, self._kernel, RTM_DELNEIGH, body)

    def tunnel(self, index: int, mac: str) -> IPv4Address | None:
        """The VXLAN endpoint behind `mac`."""
        body = _NDMSG.pack(AF_BRIDGE, index, 0, NTF_SELF, 0) + nl.attribute(NDA_LLADDR, mac_bytes(mac))
        try:
            answers = self._kernel.request(RTM_GETNEIGH, body)
        except nl.NetlinkError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return None
            raise
        packed = nl.attributes(answers[0][1], _NDMSG.size).get(NDA_DST, b"")
        return IPv4Address(packed) if len(packed) == 4 else None

    def put_tunnel(self, index: int, mac: str, endpoint: IPv4Address) -> None:
        body = _NDMSG.pack(AF_BRIDGE, index, NUD_PERMANENT | NUD_NOARP, NTF_SELF, 0)
        body += nl.attribute(NDA_LLADDR, mac_bytes(mac)) + nl.attribute(NDA_DST, endpoint.packed)
        self._kernel.request(RTM_NEWNEIGH, body, nl.F_CREATE | nl.F_REPLACE)

    def delete_tunnel(self, index: int, mac: str) -> None:
        body = _NDMSG.pack(AF_BRIDGE, index, 0, NTF_SELF, 0) + nl.attribute(NDA_LLADDR, mac_bytes(mac))
        _unless(errno.ENOENT, self._kernel, RTM_DELNEIGH, body)

    # --- sysctls -----------------------------------------------------------------------------------------------------

    @staticmethod
    def sysctl(path: str, value: int) -> None:
        """Set `/proc/sys/net/<path>`."""
        Path("/proc/sys/net", path).write_text(str(value))

    @staticmethod
    def reverse_path_filters() -> dict[str, int]:
        """`rp_filter` in effect by link: the greater of the link's and that of `all`. IPv4 only: IPv6 has none."""
        found: dict[str, int] = {}
        for link in Path("/proc/sys/net/ipv4/conf").iterdir():
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                found[link.name] = int((link / "rp_filter").read_text())
        least = found.pop("all")
        del found["default"]
        return {link: max(least, value) for link, value in found.items()}


def _unless(ignored: int, kernel: nl.Connection, kind: int, body: bytes) -> None:
    try:
        kernel.request(kind, body)
    except nl.NetlinkError as error:
        if error.errno != ignored:
            raise


def _target(netnsid: int | None) -> bytes:
    return b"" if netnsid is None else nl.attribute(IFLA_TARGET_NETNSID, struct.pack("=i", netnsid))


def _link(raw: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(raw)
    held = nl.attributes(raw, _IFINFO.size)
    info = nl.attributes(held.get(IFLA_LINKINFO, b""))
    slave = nl.attributes(info.get(INFO_SLAVE_DATA, b"")) if nl.string(info.get(INFO_SLAVE_KIND)) == "bridge" else {}
    netnsid = held.get(IFLA_LINK_NETNSID)
    return Link(
        index=index,
        name=nl.string(held.get(IFLA_IFNAME)),
        mac=mac_text(held.get(IFLA_ADDRESS, b"")),
        mtu=nl.number(held.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        running=nl.number(held.get(IFLA_OPERSTATE)) == OPER_UP,
        alias=nl.string(held.get(IFLA_IFALIAS)),
        kind=nl.string(info.get(INFO_KIND)),
        master=nl.number(held.get(IFLA_MASTER)),
        peer=nl.number(held.get(IFLA_LINK)),
        netnsid=None if netnsid is None else struct.unpack("=i", netnsid)[0],
        port_state=nl.number(slave[BRPORT_STATE]) if BRPORT_STATE in slave else None,
        mute=slave.get(BRPORT_UNICAST_FLOOD) == b"\0",
    )


def link_event(raw: bytes) -> tuple[int, bool]:
    """(index, up) of a link message."""
    _, _, index, flags, _ = _IFINFO.unpack_from(raw)
    return index, bool(flags & IFF_UP)


def _address(index: int, address: Interface) -> bytes:
    scope = SCOPE_LINK if address.ip.is_link_local else SCOPE_UNIVERSE
    body = _IFADDR.pack(_family(address), address.network.prefixlen, 0, scope, index)
    return body + nl.attribute(IFA_LOCAL, address.ip.packed) + nl.attribute(IFA_ADDRESS, address.ip.packed)


def _route_message(route: Route) -> bytes:
    kind = RTN_UNREACHABLE if route.unreachable else RTN_UNICAST
    on_link = route.oif and route.gateway is None
    scope = SCOPE_LINK if on_link and route.prefix.version == 4 else SCOPE_UNIVERSE
    table = route.table if route.table < 256 else 0
    flags = RTNH_F_ONLINK if route.onlink else 0
    length = route.prefix.prefixlen
    body = _RTMSG.pack(_family(route.prefix), length, 0, 0, table, route.protocol, scope, kind, flags)
    body += nl.attribute(RTA_DST, route.prefix.network_address.packed) + nl.u32(RTA_TABLE, route.table)
    body += nl.u32(RTA_PRIORITY, route.metric)
    if route.oif:
        body += nl.u32(RTA_OIF, route.oif)
    if route.source is not None:
        body += nl.attribute(RTA_PREFSRC, route.source.packed)
    if route.gateway is not None:
        if route.gateway.version == route.prefix.version:
            body += nl.attribute(RTA_GATEWAY, route.gateway.packed)
        else:
            body += nl.attribute(RTA_VIA, struct.pack("=H", _family(route.gateway)) + route.gateway.packed)
    return body


def parse_route(raw: bytes) -> Route | None:
    """None for what is no unicast or unreachable row (local, multicast, cached)."""
    family, length, _, _, table, protocol, _, kind, flags = _RTMSG.unpack_from(raw)
    if kind not in (RTN_UNICAST, RTN_UNREACHABLE) or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    held = nl.attributes(raw, _RTMSG.size)
    prefix: Prefix
    if family == socket.AF_INET:
        prefix = IPv4Network((held.get(RTA_DST, bytes(4)), length))
    else:
        prefix = IPv6Network((held.get(RTA_DST, bytes(16)), length))
    unreachable = kind == RTN_UNREACHABLE
    source = held.get(RTA_PREFSRC)
    return Route(
        table=nl.number(held.get(RTA_TABLE), table),
        prefix=prefix,
        metric=nl.number(held.get(RTA_PRIORITY)),
        unreachable=unreachable,
        oif=0 if unreachable else nl.number(held.get(RTA_OIF)),
        gateway=_gateway(held),
        onlink=bool(flags & RTNH_F_ONLINK),
        source=None if source is None else ip_address(source),
        protocol=protocol,
    )


def _gateway(held: nl.Attributes) -> Address | None:
    if RTA_GATEWAY in held:
        return ip_address(held[RTA_GATEWAY])
    if RTA_VIA in held:
        return ip_address(held[RTA_VIA][2:])
    return None


def _hops(raw: bytes) -> Iterator[nl.Attributes]:
    offset = 0
    while offset + _NEXTHOP.size <= len(raw):
        length, _, _, _ = _NEXTHOP.unpack_from(raw, offset)
        yield nl.attributes(raw[offset + _NEXTHOP.size : offset + length])
        offset += (length + 3) & ~3


def _neighbour(raw: bytes) -> Neighbour | None:
    family, index, state, _, _ = _NDMSG.unpack_from(raw)
    held = nl.attributes(raw, _NDMSG.size)
    if family not in (socket.AF_INET, socket.AF_INET6) or NDA_DST not in held:
        return None
    mac, protocol = mac_text(held.get(NDA_LLADDR, b"")), nl.number(held.get(NDA_PROTOCOL))
    return Neighbour(index, mac, ip_address(held[NDA_DST]), bool(state & NUD_PERMANENT), protocol)
