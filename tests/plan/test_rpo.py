"""The default RPO is counted in the site's zone: the same in a plan, a comparison, guardrails and explanations."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import Direction, Duration
from reconciler.model.documents import GroupDocument, ShortTermPolicy
from reconciler.parse import read_texts
from reconciler.plan.approval.guardrails import compared
from reconciler.plan.desired.defaults import short_term_of, with_rpo, zones_of
from reconciler.plan.review.compare import compare
from tests.worlds import Game, by_tier, cluster, document, machine, policies

BERLIN = ZoneInfo("Europe/Berlin")
A = machine(1, "vm-a", "gold")
_TEXT = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: Europe/Berlin
  prune: false
  state: {sqlite: {path: s.db}}
  clusters: [{name: c, inventory: {directory: {path: c}}}]
  servers: [{name: mabs-01, engine: {embedded: {path: e}}, volumes: [{name: v, capacity: 4 TB}]}]
---
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: g}
spec:
  site: hq
  server: mabs-01
  members: [{virtualMachines: {cluster: c, names: ["a*"]}}]
  shortTerm: {retention: 21d, synchronization: INTERVAL}
"""


def gold(synchronization: Literal["6h", "12h"] = "6h", rpo: str = "") -> GroupDocument:
    written = Duration.parse(rpo) if rpo else None
    return document(
        "gold", by_tier("gold"), short_term=ShortTermPolicy(Duration.parse("5d"), synchronization, rpo=written)
    )


def test_the_default_is_the_longest_gap_in_the_zone_and_an_hour() -> None:
    assert short_term_of(gold(), BERLIN).rpo == timedelta(hours=8)
    assert short_term_of(gold(), ZoneInfo("UTC")).rpo == timedelta(hours=7)
    assert short_term_of(gold(rpo="9h"), BERLIN).rpo == timedelta(hours=9)


def test_a_default_that_is_counted_anew_weakens_nothing() -> None:
    """A site of version 0.1 in Berlin: 7 h was applied, 8 h is the default now. What is written is weighed."""
    berlin = read_texts({"policies/all.yaml": _TEXT.replace("INTERVAL", "6h").encode()}, "policies").policies
    assert berlin is not None
    game = Game()
    game.apply(game.propose(policies([gold()]), cluster(A)))
    assert game.held().groups[0].group.short_term.rpo == timedelta(hours=7)
    for wanted, direction in (
        (gold(), Direction.NEUTRAL),
        (gold(rpo="8h"), Direction.WEAKENS),
        (gold("12h"), Direction.WEAKENS),
    ):
        here = msgspec.structs.replace(policies([wanted]), sites=berlin.sites)
        (step,) = game.propose(here, cluster(A)).plan.steps
        (field,) = [each for each in step.change.fields if each.path == "shortTerm.rpo"]
        assert (field.before, field.direction) == ("7h", direction)


def test_comparisons_and_guardrails_see_the_default_of_the_zone() -> None:
    older, newer = (
        read_texts({"policies/all.yaml": _TEXT.replace("INTERVAL", interval).encode()}, "policies").policies
        for interval in ("6h", "12h")
    )
    assert older is not None
    assert newer is not None
    changes = compare(older, newer)
    fields = {field.field: (field.before, field.after) for change in changes for field in change.fields}
    assert fields["spec.shortTerm.rpo"] == ("8h", "14h")
    (subject,) = compared(changes, older, newer)
    assert subject.document.spec.short_term.rpo == Duration.parse("14h")
    assert with_rpo(newer.groups[0].document, zones_of(newer)).spec.short_term.rpo == Duration.parse("14h")
