"""Settled: what the guard depends on as it was last applied, and as it is written now -> what counts, and what waits.

A Site, its guardrails and the file of allowed signers decide who may do what, when, and whom we sign in to; its
exclusions say what nobody protects, and no step of a plan shows them. Whatever `diff` wants an approval for counts once
somebody agreed to it who could by the earlier ones; until then those count. What makes them stricter counts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from reconciler.model import Direction
from reconciler.model.comparison import DocumentChange, DocumentField
from reconciler.model.documents import ExclusionDocument, GuardrailDocument, Placed, PolicySet, SiteDocument, SiteSpec
from reconciler.plan.approval.change_hashes import AsApplied
from reconciler.plan.review import site_rules
from reconciler.plan.review.compare import compare
from reconciler.plan.review.signers import in_force, signer_changes

_NAMES = {field.encode_name: field.name for field in msgspec.structs.fields(SiteSpec)}


class Guard(msgspec.Struct, frozen=True):
    """What the guard depends on, and the site's exclusions. `guardrails` or `exclusions` None: they are not known (an
    older state); what is written is taken then."""

    site: SiteDocument
    guardrails: tuple[GuardrailDocument, ...] | None
    signers: str | None
    exclusions: tuple[ExclusionDocument, ...] | None = None


class Waiting(msgspec.Struct, frozen=True):
    """A change that nobody has agreed to: the kind and name of its document, and the field. `needed` tells why one that
    was agreed to waits."""

    kind: str
    name: str
    field: DocumentField
    needed: str = ""


class Weighed(msgspec.Struct, frozen=True):
    """What counts now, what waits, and the hashes of what weakens and was agreed to."""

    guard: Guard
    waiting: tuple[Waiting, ...] = ()
    agreed: frozenset[str] = frozenset()


def changes(settled: Guard, written: Guard) -> tuple[DocumentChange, ...]:
    """How what is written differs from what is settled, with the hashes that `diff` gives."""
    found = list(compare(_policies(settled, written), _policies(written, written)))
    path = _signers_path(written) or _signers_path(settled)
    signers = signer_changes(path, _signers(settled), _signers(written)) if path else None
    return (*found, *([signers] if signers is not None else []))


def weigh_guard(
    settled: Guard, written: Guard, agreed: frozenset[str] | None, needed: Mapping[str, str] = MappingProxyType({})
) -> Weighed:
    """What counts now, with `agreed` for the hashes that somebody agreed to; None: all of them. `needed` are the fields
    of the Site that are left as they were all the same, each with the reason.

    A guardrail that goes, or asks for less, weakens nothing where another one asks for as much: but one that waits does
    not ask yet, so what relies on it waits with it.
    """
    weighed = _weigh(settled, written, agreed, (), needed)
    while more := _relying(settled, weighed, agreed):
        weighed = _weigh(settled, written, agreed, more, needed)
    return weighed


def _relying(settled: Guard, weighed: Weighed, agreed: frozenset[str] | None) -> tuple[Waiting, ...]:
    """The changes of guardrails that wait, once some of these weaken by what counts; none where none does."""
    if agreed is None:
        return ()
    found = [
        Waiting(change.kind, change.name, field)
        for change in changes(settled, weighed.guard)
        for field in change.fields
        if change.kind == "Guardrail" and field.direction.needs_consent and field.change_hash not in agreed
    ]
    return (*(each for each in weighed.waiting if each.kind == "Guardrail"), *found) if found else ()


def _weigh(
    settled: Guard,
    written: Guard,
    agreed: frozenset[str] | None,
    relying: Sequence[Waiting],
    needed: Mapping[str, str],
) -> Weighed:
    waiting, hashes = list(relying), set()
    for change in changes(settled, written):
        for field in change.fields:
            if not field.direction.needs_consent:
                continue
            said = agreed is None or field.change_hash in agreed
            why = needed.get(field.field, "") if change.kind == "Site" and said else ""
            if said and not why:
                hashes.add(field.change_hash)
            elif not any((each.kind, each.name) == (change.kind, change.name) for each in relying):
                waiting.append(Waiting(change.kind, change.name, field, why))
    site = _site(settled.site, written.site, {field.field.field for field in waiting if field.kind == "Site"})
    signers, path = _signers(settled), _signers_path(written)
    if site.spec.approvals == written.site.spec.approvals or path == _signers_path(settled):
        signers = in_force(signers, written.signers, frozenset(hashes), path) if path else None
    guard = Guard(site, _guardrails(settled, written, waiting), signers, _exclusions(settled, written, waiting))
    return Weighed(guard, tuple(waiting), frozenset(hashes))


def guardrails_now(settled: Guard | None, policies: PolicySet) -> tuple[Placed[GuardrailDocument], ...]:
    """The guardrails that count: those that are written, and those settled that are not there, or otherwise, now."""
    written = [placed.document for placed in policies.guardrails]
    kept = [each for each in (settled.guardrails or () if settled is not None else ()) if each not in written]
    return (*policies.guardrails, *(Placed(each, AsApplied()) for each in kept))


def exclusions_now(settled: Guard | None, policies: PolicySet, site: str) -> tuple[Placed[ExclusionDocument], ...]:
    """The exclusions that count: of this site those in force, where they stand as they are written."""
    if settled is None or settled.exclusions is None:
        return policies.exclusions
    written = {placed.document.metadata.name: placed for placed in policies.exclusions}
    kept = []
    for each in settled.exclusions:
        found = written.get(each.metadata.name)
        kept.append(found if found is not None and found.document == each else Placed(each, AsApplied()))
    others = (each for each in policies.exclusions if each.document.spec.site != site)
    return tuple(sorted((*others, *kept), key=lambda each: each.document.metadata.name))


def without_kept(policies: PolicySet) -> PolicySet | None:
    """The policies without the exclusions that count only as they were last applied; None where there are none. Where
    one of them and a group as it is written mean the same virtual machine, it is protected."""
    kept = tuple(each for each in policies.exclusions if not isinstance(each.positions, AsApplied))
    return msgspec.structs.replace(policies, exclusions=kept) if kept != policies.exclusions else None


def _policies(guard: Guard, written: Guard) -> PolicySet:
    rules = guard.guardrails if guard.guardrails is not None else written.guardrails or ()
    spared = guard.exclusions if guard.exclusions is not None else written.exclusions or ()
    placed = tuple(Placed(each, AsApplied()) for each in rules)
    exclusions = tuple(Placed(each, AsApplied()) for each in spared)
    return PolicySet((Placed(guard.site, AsApplied()),), (), exclusions, guardrails=placed)


def _signers(guard: Guard) -> str | None:
    """The signers by whom approvals are judged; none where the site names no file of them, whatever lies there."""
    return guard.signers if _signers_path(guard) else None


def _signers_path(guard: Guard) -> str:
    rules = guard.site.spec.approvals
    return (rules.allowed_signers or "") if rules is not None else ""


def _guardrails(settled: Guard, written: Guard, waiting: Sequence[Waiting]) -> tuple[GuardrailDocument, ...]:
    held = {each.name for each in waiting if each.kind == "Guardrail"}
    kept = tuple(each for each in settled.guardrails or () if each.metadata.name in held)
    return (*(each for each in written.guardrails or () if each.metadata.name not in held), *kept)


def _exclusions(settled: Guard, written: Guard, waiting: Sequence[Waiting]) -> tuple[ExclusionDocument, ...] | None:
    if written.exclusions is None:
        return None
    held = {each.name for each in waiting if each.kind == "Exclusion"}
    kept = (each for each in settled.exclusions or () if each.metadata.name in held)
    return (*(each for each in written.exclusions if each.metadata.name not in held), *kept)


# --- Sites -----------------------------------------------------------------------------------------------------


def _site(old: SiteDocument, new: SiteDocument, held: set[str]) -> SiteDocument:
    """The new one, but for the fields that are held: as they were, or entry by entry."""
    if "" in held:
        return old
    spec, metadata = new.spec, new.metadata
    for path in held:
        part, _, name = path.partition(".")
        if part != "spec":  # what a guardrail sees of it
            metadata = msgspec.structs.replace(metadata, labels=old.metadata.labels)
            continue
        field = _NAMES[name]
        was, now = getattr(old.spec, field), getattr(spec, field)
        entries: Callable[[Any, Any], Direction] | None = None
        if name == "clusters":
            entries = site_rules.clusters
        elif name == "servers":
            entries = site_rules.servers
        spec = msgspec.structs.replace(spec, **{field: was if entries is None else _entries(was, now, entries)})
    return msgspec.structs.replace(new, metadata=metadata, spec=spec)


def _entries(old: Sequence[Any], new: Sequence[Any], weigh: Callable[[Any, Any], Direction]) -> tuple[Any, ...]:
    """Each entry as it was, unless it changed without weakening; none that was not there."""
    written = {each.name: each for each in new}
    found = []
    for each in old:
        now = written.get(each.name, each)
        found.append(each if weigh({each.name: each}, {each.name: now}).needs_consent else now)
    return tuple(found)
