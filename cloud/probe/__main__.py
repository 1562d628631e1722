"""`python -m cloud.probe`: one probe, sink or sampler in the network namespace it is started in.

Each prints `ready` when it is at work and its raw log when it ends: at its deadline, on SIGTERM, or, with
`--until-eof`, when its standard input is closed.
"""

from __future__ import annotations

import argparse
import sys

from cloud.probe import echo, flows, legs, meet, tcp, udp
from cloud.probe.clock import Stop
from cloud.probe.target import Target


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloud.probe", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)

    def kind(name: str, text: str, interval_us: int) -> argparse.ArgumentParser:
        one = kinds.add_parser(name, help=text)
        one.add_argument("--interval-us", type=int, default=interval_us, help="microseconds between two ticks")
        return ends(one)

    def ends(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
        one.add_argument("--seconds", type=float, help="end after this many seconds")
        one.add_argument("--until-eof", action="store_true", help="end when standard input is closed")
        return one

    probes = kind("udp", "echo probes to each address", 1_000)
    probes.add_argument("targets", nargs="+", type=Target.parse, help="ADDRESS or NETWORK=ADDRESS, asked from there")
    probes.add_argument("--idle-us", type=int, default=0, help="microseconds between probes to who is not attended to")
    probes.add_argument("--port", type=int, default=udp.ECHO_PORT)
    connection = kind("tcp", "TCP connections to echo servers", 5_000)
    connection.add_argument("targets", nargs="+", type=Target.parse, help="ADDRESS or NETWORK=ADDRESS")
    connection.add_argument("--port", type=int, default=udp.ECHO_PORT)
    links = kind("legs", "packet counters of guest links", 20_000)
    links.add_argument("--prefix", default="g", help="link names to sample")
    sender = kind("send", "numbered packets of some flows", 2_000)
    sender.add_argument("--flows", type=flows.flows_of, required=True, help="JSON list of flows")
    sender.add_argument("--count", type=int, required=True, help="packets of each flow")
    signed = ends(kinds.add_parser("echo", help="a UDP echo that signs its answers"))
    signed.add_argument("address")
    signed.add_argument("--port", type=int, default=echo.SIGNED_ECHO_PORT)
    signed.add_argument("--name", required=True, help="what it signs with")
    plain = ends(kinds.add_parser("echo-tcp", help="a TCP echo"))
    plain.add_argument("--port", type=int, default=udp.ECHO_PORT)
    arrivals = kind("sink", "packets of any flow that arrive here", 0)
    arrivals.add_argument("--place", required=True, help="what this namespace is called in the figures")
    ends(kinds.add_parser("listen", help="answer calls, and note from which address each came"))
    caller = ends(kinds.add_parser("call", help="numbered calls, all at once, until all are answered"))
    caller.add_argument("--calls", type=meet.calls_of, required=True, help="JSON list of calls")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        stop = Stop(args.seconds, args.until_eof)
        match args.kind:
            case "echo":
                echo.run(args.address, args.port, args.name, stop)
            case "echo-tcp":
                echo.run_tcp(args.port, stop)
            case "udp":
                udp.run(args.targets, args.interval_us, stop, args.port, args.idle_us)
            case "tcp":
                tcp.run(args.targets, args.interval_us, stop, args.port)
            case "legs":
                legs.run(args.prefix, args.interval_us, stop)
            case "send":
                flows.send(args.flows, args.count, args.interval_us)
            case "listen":
                meet.listen(stop)
            case "call":
                meet.call(args.calls, stop)
            case "sink":
                flows.sink(args.place, stop)
    except OSError as error:
        print(f"probe {args.kind}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
