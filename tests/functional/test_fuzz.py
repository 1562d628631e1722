"""Requests nobody would think of, to every operation of both services on a real database.

Hypothesis draws them from the OpenAPI documents, valid and broken ones; often a name or an id is one that exists. No
answer is a fault (5xx), and each is documented: its status, its code, its headers and the shape of its body.
`make fuzz-api` draws more than the test run does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common.web.problems import CODES
from tests.functional import controller
from tests.functional.ledger import Ledger

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
OFTEN = st.sampled_from([True, True, True, False])
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass
class Fuzz:
    """A service, tokens of who calls it, and what exists there: by the name of the parameter or field it goes in."""

    app: FastAPI
    mighty: str
    others: list[str]
    known: dict[str, list[Any]]
    before: Callable[[], None] = lambda: None
    """Done before each request."""

    def run(self) -> None:
        """Send requests to every operation. Fails at the first answer that is not as documented."""
        schema = schemathesis.openapi.from_dict(self.app.openapi())
        schema.app = self.app
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            for mode in GenerationMode:
                self._attempt(found.ok(), mode)()

    def _attempt(self, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> Callable[[], None]:
        @settings(
            max_examples=EXAMPLES,
            derandomize="FUZZ_EXAMPLES" not in os.environ,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # what failed depends on what came before: there is nothing to shrink
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def attempt(case: Case[Any], data: st.DataObject) -> None:
            case.path_parameters = self._aimed(case.path_parameters, data)
            if mode is GenerationMode.POSITIVE:
                case.query = self._aimed(case.query, data)
                case.body = self._aimed(case.body, data)
            if "wait_s" in (case.query or {}):
                case.query["wait_s"] = 0.01
            token = self.mighty if data.draw(OFTEN) else data.draw(st.sampled_from(self.others))
            self.before()
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400:
                documented = operation.definition.raw["responses"][str(answer.status_code)][CODES]
                assert answer.json()["code"] in documented

        return attempt

    def _aimed(self, part: Any, data: st.DataObject) -> Any:
        """`part` with much of what it names replaced by what exists."""
        if not isinstance(part, dict):
            return part
        found = {name: self._aimed(value, data) for name, value in part.items()}
        for name in self.known.keys() & found.keys():
            if data.draw(OFTEN):
                found[name] = data.draw(st.sampled_from(self.known[name]))
        return found


def test_the_ledger_answers_whatever_it_is_asked(supplied: Ledger) -> None:
    red, operator = supplied.red, supplied.operator
    targets = [supplied.target("red") for _ in range(3)]
    fips = [red.reserve(family=family) for family in ("ipv4", "ipv6") * 4]
    fips += [red.reserve(kind="failover") for _ in range(2)]
    operations = [red.attach(fip, target) for fip, target in zip(fips[:3], targets, strict=True)]
    supplied.realize(targets[0])
    red.post(f"/flexible-ips/{fips[0]['id']}:move", {"from": targets[0], "to": targets[1]})
    red.delete(f"/flexible-ips/{fips[4]['id']}")
    candidates = [{"target": target} for target in targets]
    red.put(f"/flexible-ips/{fips[-1]['id']}/candidates", {"candidates": candidates})
    red.attach(fips[-1], targets[0])
    pools = operator.get("/pools")["items"]
    known = {
        "flexible_ip_id": [fip["id"] for fip in fips],
        "flexible_ip": [fip["id"] for fip in fips],
        "pool_id": [pool["id"] for pool in pools],
        "prefix_id": [prefix["id"] for pool in pools for prefix in pool["prefixes"]],
        "target_id": [target["id"] for target in targets],
        "operation_id": [operation["id"] for operation in operations],
        "kind": ["instance"],
        "id": [target["id"] for target in targets],
        "name": ["zone-a", "zone-b", "zone-a-v4"],
        "zone": ["zone-a", "zone-b"],
        "pool": ["zone-a-v4", "zone-a-v6"],
        "project": ["red", "blue"],
        "address": ["198.18.16.200", "198.18.16.7", fips[1]["address"]],
        "cidr": ["198.18.200.0/24", "198.18.16.0/25", "2001:db8:ff::/48"],
    }
    mighty = supplied.api("max", "red", "operator", "service", kinds=("instance",))
    others = [red, operator, supplied.service, supplied.blue, supplied.api("rea", "red", "reader")]
    Fuzz(supplied.app, mighty.token, [caller.token for caller in others], known).run()


def test_the_controller_answers_whatever_it_is_asked(placement_database: str, ledger: Ledger) -> None:
    with controller.running(placement_database, ledger) as cloud:
        fips = [ledger.red.reserve() for _ in range(3)]
        instances = [cloud.instance(name) for name in ("web", "mail")]
        cloud.act(instances[1], "stop")
        nodes = cloud.get("/nodes")["items"]
        known = {
            "instance_id": [instance["id"] for instance in instances],
            "node_id": [node["id"] for node in nodes],
            "operation_id": [operation["id"] for operation in cloud.get("/operations")["items"]],
            "name": ["zone-a", "small", "web"],
            "zone": ["zone-a"],
            "flavor": ["small"],
            "hypervisor": ["hypervisor-1", "hypervisor-2"],
            "to": ["hypervisor-1", "hypervisor-2", "gateway-1"],
            "addresses": [[fip["id"]] for fip in fips],
        }
        Fuzz(cloud.app, cloud.token("operator"), [cloud.token("red"), cloud.token("blue")], known, cloud.hear).run()
