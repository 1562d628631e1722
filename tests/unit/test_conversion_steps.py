"""The stages of a port's conversion: both ways, never leaving a stage before it is read back."""

from __future__ import annotations

import pytest

from services.placement.conversion.steps import (
    SETTLE_S,
    VERIFY_S,
    Advance,
    Blocked,
    Done,
    Facts,
    Reason,
    RollBack,
    Stage,
    Wait,
    backward,
    failed,
    forward,
    path,
)

READY = Facts(edge_sends_here=True, settled_s=SETTLE_S)
WITHDRAWN = Facts(edge_sends_here=False, settled_s=SETTLE_S)


def test_the_way_there_walks_every_stage_once() -> None:
    stage, walked = Stage.NAT, [Stage.NAT]
    while isinstance(decision := forward(stage, READY), Advance):
        stage = decision.stage
        walked.append(stage)
    assert isinstance(decision, Done)
    assert walked == list(Stage)


def test_the_way_back_walks_the_same_stages_down() -> None:
    stage, walked = Stage.SWITCHED, [Stage.SWITCHED]
    while isinstance(decision := backward(stage, WITHDRAWN), Advance):
        stage = decision.stage
        walked.append(stage)
    assert isinstance(decision, Done)
    assert walked == list(reversed(Stage))


@pytest.mark.parametrize(("stage", "later"), [(one, two) for one in Stage for two in Stage if two > one])
def test_a_later_stage_holds_all_of_the_new_path_that_an_earlier_one_holds(stage: Stage, later: Stage) -> None:
    for part in ("inbound", "announced", "outbound"):
        assert getattr(path(later), part) >= getattr(path(stage), part)


def test_at_every_stage_some_way_in_and_some_way_out_is_whole() -> None:
    for stage in Stage:
        where = path(stage)
        assert where.mapping or (where.inbound and where.announced)
        assert where.mapping or where.outbound


@pytest.mark.parametrize("stage", list(Stage))
def test_nothing_goes_on_before_the_hypervisor_has_read_it_back(stage: Stage) -> None:
    behind = Facts(hypervisor_pending="hypervisor-1 is behind", edge_sends_here=True, settled_s=60)
    assert isinstance(forward(stage, behind), Wait)


def test_outbound_waits_for_the_edges_kernel_and_the_mapping_for_what_is_on_its_way() -> None:
    assert isinstance(forward(Stage.ANNOUNCED, Facts(edge_sends_here=False, settled_s=60)), Wait)
    settling = forward(Stage.OUTBOUND, Facts(edge_sends_here=True, settled_s=SETTLE_S / 2))
    assert isinstance(settling, Wait)
    assert settling.settling


def test_on_the_way_back_outbound_stays_on_until_every_gateway_maps_again() -> None:
    assert backward(Stage.SWITCHED, READY) == Advance(Stage.OUTBOUND)
    waits = backward(Stage.OUTBOUND, Facts(gateways_pending="gateway-2 is behind", edge_sends_here=True))
    assert isinstance(waits, Wait)
    assert waits.code == "conversion.gateways"


def test_a_dead_gateway_holds_up_nothing_on_the_way_there() -> None:
    assert isinstance(forward(Stage.SWITCHED, Facts(gateways_pending="gateway-2", edge_sends_here=True)), Done)


def test_the_rewrite_goes_only_when_the_edge_no_longer_sends_anything_here() -> None:
    assert isinstance(backward(Stage.PREPARED, READY), Wait)
    assert isinstance(backward(Stage.PREPARED, Facts(edge_sends_here=False, settled_s=0)), Wait)
    assert backward(Stage.PREPARED, WITHDRAWN) == Advance(Stage.CHECKED)


def test_a_port_that_does_not_answer_as_it_did_is_not_converted_and_in_the_end_rolled_back() -> None:
    silent = failed({"198.18.0.1": True, "2001:db8::1": False}, {"198.18.0.1": False, "2001:db8::1": False})
    assert silent == ("198.18.0.1",)
    assert isinstance(forward(Stage.SWITCHED, Facts(edge_sends_here=True, silent=silent)), Wait)
    late = forward(Stage.SWITCHED, Facts(edge_sends_here=True, silent=silent, at_stage_s=VERIFY_S))
    assert isinstance(late, RollBack)
    assert "198.18.0.1" in late.reason.text


def test_nothing_begins_while_something_stands_against_it() -> None:
    reason = Reason("precheck.stale", "hypervisor-1 does not answer", "mend it")
    assert forward(Stage.NAT, Facts(blockers=(reason,))) == Blocked((reason,))


@pytest.mark.parametrize("stage", [Stage.NAT, Stage.CHECKED])
def test_nothing_begins_while_the_edge_cannot_be_asked(stage: Stage) -> None:
    """What stands against it, and who answers before the switch, is not known then."""
    assert forward(stage, Facts(edge_unknown="no answer")) == Wait("conversion.edge", "no answer")


def test_an_address_that_came_since_keeps_the_mapping_until_the_edge_sends_it_here() -> None:
    assert isinstance(forward(Stage.OUTBOUND, Facts(edge_sends_here=False, settled_s=SETTLE_S)), Wait)
