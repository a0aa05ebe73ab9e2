"""Resolving: policies, clusters as seen, and the ledger -> the groups that should be there, with their members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import (
    DataSource,
    KnownMember,
    Level,
    Member,
)
from reconciler.model.documents import (
    GroupDocument,
    MachineSelector,
    Placed,
    PolicySet,
)
from reconciler.model.encode import encode
from reconciler.model.names import fold
from reconciler.plan.checks.unreadable_machines import missing, unread
from reconciler.plan.desired.claims import Claim, data_source
from reconciler.plan.desired.defaults import group_of, in_other_sites, selectors_hash, zone_of, zones_of
from reconciler.plan.desired.idle_patterns import ClusterNames, SelectorPlace, idle_patterns, idle_rule
from reconciler.plan.desired.state import AUTO, IGNORABLE, DesiredGroup, DesiredState, ExcludedMachine
from reconciler.plan.inputs import PlanInputs
from reconciler.plan.selectors import Candidate, Population, remembered


def resolve(policies: PolicySet, inputs: PlanInputs) -> DesiredState:
    """The desired state of one site.

    Machines that are gone stay members while the rules still match what they were last called. Findings of
    severity error (a machine in two groups, one both excluded and matched) make the state unfit for planning.
    """
    return _Resolver(policies, inputs).resolve()


class _Resolver:
    def __init__(self, policies: PolicySet, inputs: PlanInputs) -> None:
        self.inputs, site = inputs, inputs.site
        self.groups = [placed for placed in policies.groups if placed.document.spec.site == site]
        self.elsewhere = in_other_sites(policies, site)
        self.exclusions = [placed for placed in policies.exclusions if placed.document.spec.site == site]
        self.zones = zones_of(policies)
        self.now = {name: Population.of(name, seen.machines) for name, seen in inputs.clusters.items()}
        self.ids = {name: frozenset(machine.id for machine in seen.machines) for name, seen in inputs.clusters.items()}
        #: The members that the ledger knows, without whole machines that are there; and all of them by id.
        self.lost: dict[DataSource, KnownMember] = {}
        self.owned: dict[str, set[str]] = defaultdict(set)
        self._remember()
        self.unread = {(c, each.id) for c, seen in inputs.clusters.items() for each in seen.unseen}
        self.gone = self._gone()
        self.incomplete = self._incomplete()
        #: Members that are not whole machines as they are now.
        self.others: list[KnownMember] = []
        self.findings: list[Diagnostic] = []
        #: What patterns are held against, by cluster, once one is.
        self.patterned: dict[str, ClusterNames] = {}
        #: Machines that a group keeps although no rule of it means them -> the group.
        self.keepers: dict[DataSource, str] = {}
        #: The first claim on each data source, and all of those that have several.
        self.claims: dict[DataSource, Claim] = {}
        self.rivals: dict[DataSource, list[Claim]] = {}
        self.parts: dict[DataSource, list[Claim]] = defaultdict(list)
        self.lapsed: list[ExcludedMachine] = []

    def resolve(self) -> DesiredState:
        desired = self._given_up(tuple(self._group(placed) for placed in self.groups))
        excused = self._excused()
        self._contested()
        self._renewed()
        self.findings += unread(self.inputs.clusters, self._name)
        return DesiredState(
            groups=tuple(sorted(desired, key=lambda each: (each.server, each.group.name))),
            excused=excused,
            lapsed=tuple(self.lapsed),
            incomplete=frozenset(self.incomplete),
            names=self._names(),
            findings=tuple(self.findings),
            elsewhere=self.elsewhere,
        )

    def _names(self) -> dict[str, str]:
        """What each data source is called: as it is now, else as it was when it was last seen."""
        names = {str(source): member.name for source, member in self.lost.items()}
        names.update((str(each.source), each.name) for each in self.others)
        for cluster, seen in self.now.items():
            head, tail = f"{cluster}/", f"/{Level.HOST}"
            names.update((f"{head}{each.source.machine}{tail}", each.name) for each in seen.candidates)
        return names

    # --- Machines that are not there ---------------------------------------------------------------------

    def _here(self, source: DataSource) -> bool:
        """Whether its cluster shows the machine now."""
        return source.machine in self.ids.get(source.cluster, ())

    def _remember(self) -> None:
        nowhere: frozenset[str] = frozenset()
        cluster, here, owned = "", nowhere, self.owned[""]
        for entry in self.inputs.ledger:
            for member in entry.members:
                source = member.source
                if source.cluster != cluster:
                    cluster = source.cluster
                    here, owned = self.ids.get(cluster, nowhere), self.owned[cluster]
                owned.add(source.machine)
                if source.machine not in here or source.protect or source.level is not Level.HOST:
                    self.lost[source] = member
        self.owned.pop("", None)

    def _gone(self) -> dict[str, Population]:
        gone: dict[str, dict[DataSource, Candidate]] = defaultdict(dict)
        for source, member in self.lost.items():
            if not self._here(source):
                gone[source.cluster][source.home] = remembered(member)
        return {cluster: Population(candidates.values()) for cluster, candidates in gone.items()}

    def _incomplete(self) -> set[str]:
        return {
            cluster
            for cluster, machines in self.owned.items()
            if cluster not in self.inputs.clusters or 2 * len(machines & self._there(cluster)) < len(machines)
        }

    def _there(self, cluster: str) -> frozenset[str]:
        """What the cluster shows, with what is there but could not be read."""
        return self.ids[cluster].union(each.id for each in self.inputs.clusters[cluster].unseen if each.id)

    # --- Groups ------------------------------------------------------------------------------------------

    def _group(self, placed: Placed[GroupDocument]) -> DesiredGroup:
        document = placed.document
        spec = document.spec
        members: dict[DataSource, Member] = {}
        known: dict[DataSource, KnownMember] = {}
        missing: list[DataSource] = []
        for number, rule in enumerate(spec.members):
            selector = rule.virtual_machines
            if selector is None:
                continue
            claim = Claim(document.metadata.name, number, placed.positions)
            matched = self.now[selector.cluster].select(selector) if selector.cluster in self.now else ()
            gone = self.gone[selector.cluster].select(selector) if selector.cluster in self.gone else ()
            path = ("spec", "members", number, "virtualMachines")
            place = SelectorPlace(f"the group {document.metadata.name}", placed.positions, path)
            self._idle(selector, place, (*matched, *gone))
            storage = rule.storage or spec.storage
            volume = storage.volume if storage else None
            for candidate in (*matched, *gone):
                source = data_source(rule, candidate.source)
                if source not in members:
                    members[source] = Member(source, volume)
                    if source is not candidate.source:
                        candidate = msgspec.structs.replace(candidate, source=source)  # noqa: PLW2901
                        self.others.append(candidate)
                    known[source] = candidate
                    self._claim(source, claim)
            missing += [data_source(rule, candidate.source) for candidate in gone]
            self.others += gone
        missing += self._keep_of_incomplete(document, members, known)
        for source in sorted(set(missing)):
            self._missing(document.metadata.name, known[source], placed.positions.at())
        ordered = sorted(members)
        return DesiredGroup(
            server=spec.server,
            group=group_of(document, tuple([members[source] for source in ordered]), zone_of(document, self.zones)),
            written=placed.positions,
            known=tuple([known[source] for source in ordered]),
            missing=frozenset(missing),
            formerly=spec.renamed_from,
            selectors=selectors_hash(document),
            ignored=self._ignored(placed),
            labels=document.metadata.labels,
            document=encode(document),
        )

    def _claim(self, source: DataSource, claim: Claim) -> None:
        first = self.claims.setdefault(source, claim)
        if first is not claim:
            self.rivals.setdefault(source, [first]).append(claim)
        if source.protect or source.level is not Level.HOST:
            self.parts[source.home].append(claim)

    def _claims_on(self, machine: DataSource) -> list[Claim]:
        """The claims on a machine, and on parts of it."""
        first = self.claims.get(machine)
        whole = self.rivals.get(machine) or ([first] if first is not None else [])
        return [*whole, *self.parts.get(machine, ())]

    def _ignored(self, placed: Placed[GroupDocument]) -> frozenset[str]:
        """The fields that may differ today."""
        return frozenset(
            IGNORABLE[rule.field]
            for rule in placed.document.spec.ignore
            if rule.field in IGNORABLE and (rule.until is None or rule.until >= self.inputs.today)
        )

    def _keep_of_incomplete(
        self, document: GroupDocument, members: dict[DataSource, Member], known: dict[DataSource, KnownMember]
    ) -> list[DataSource]:
        """No removal is planned from a cluster that shows too little of itself to be believed. Returns those of the
        kept that it does not show."""
        if not self.incomplete:
            return []
        kept: list[DataSource] = []
        name = self._owned_as(document)
        homes = {entry.group: entry.server for entry in self.inputs.ledger}  # as `place` has it
        server = homes.get(name) if document.spec.server == AUTO else document.spec.server
        for entry in self.inputs.ledger:
            if (entry.group, entry.server) != (name, server):
                continue
            for member in entry.applied.members:
                if member.source.cluster in self.incomplete and member.source not in members:
                    members[member.source] = member
                    known[member.source] = self.known.get(member.source) or KnownMember(
                        member.source, member.source.machine
                    )
                    self.others.append(known[member.source])
                    self.keepers[member.source] = document.metadata.name
                    kept += [] if self._here(member.source) else [member.source]
        return kept

    def _owned_as(self, document: GroupDocument) -> str:
        """The name under which the ledger has the group: its own, else an earlier one that nobody uses now; "" where
        it has none."""
        name, owned = document.metadata.name, {entry.group for entry in self.inputs.ledger}
        used = {placed.document.metadata.name for placed in self.groups}
        earlier = (former for former in document.spec.renamed_from if former in owned and former not in used)
        return name if name in owned else next(earlier, "")

    def _given_up(self, groups: tuple[DesiredGroup, ...]) -> tuple[DesiredGroup, ...]:
        """The groups without the machines that another one keeps: from a cluster that cannot be believed no machine
        moves."""
        if not self.keepers:
            return groups
        return tuple(self._without_kept(group) for group in groups)

    def _without_kept(self, desired: DesiredGroup) -> DesiredGroup:
        group, name = desired.group, desired.group.name
        held = {each for each in group.sources if self.keepers.get(each, name) != name}
        if not held:
            return desired
        for source in sorted(held):
            what = f"{self._name(source)!r} is not taken into {name} while {source.cluster} shows under half of its "
            remedy = f"It stays in {self.keepers[source]}, and moves once the cluster is seen again."
            place = desired.place("members")
            found = Diagnostic("RCL3017", Severity.WARNING, f"{what}known virtual machines", remedy, place)
            self.findings.append(found)
        members = tuple(each for each in group.members if each.source not in held)
        return msgspec.structs.replace(
            desired,
            group=msgspec.structs.replace(group, members=members),
            known=tuple(each for each in desired.known if each.source not in held),
            missing=desired.missing - held,
        )

    @cached_property
    def known(self) -> dict[DataSource, KnownMember]:
        """Every member that the ledger knows."""
        return {member.source: member for entry in self.inputs.ledger for member in entry.members}

    # --- Exclusions --------------------------------------------------------------------------------------

    def _excused(self) -> tuple[ExcludedMachine, ...]:
        """The machines of each exclusion, by machine; those of exclusions that have ended are put into `lapsed`."""
        excused: dict[DataSource, ExcludedMachine] = {}
        for placed in self.exclusions:
            spec = placed.document.spec
            ended = spec.until < self.inputs.today
            cluster = spec.virtual_machines.cluster
            seen = self.now.get(cluster)
            name = placed.document.metadata.name
            chosen = seen.select(spec.virtual_machines) if seen else ()
            if not ended:
                place = SelectorPlace(f"the exclusion {name}", placed.positions, ("spec", "virtualMachines"))
                self._idle(spec.virtual_machines, place, chosen, Severity.ADVICE)
            for candidate in chosen:
                source = candidate.source
                found = ExcludedMachine(source, name, spec.reason, spec.owner, spec.until)
                if ended:
                    self.lapsed.append(found)
                    continue
                excused.setdefault(source, found)
                for claim in self._claims_on(source):
                    self._excluded_too(
                        candidate.name, claim.group, claim.place, placed.positions.at("spec", "virtualMachines")
                    )
        return tuple(excused[source] for source in sorted(excused))

    # --- Findings ----------------------------------------------------------------------------------------

    def _idle(
        self,
        selector: MachineSelector,
        place: SelectorPlace,
        meant: Sequence[Candidate],
        severity: Severity = Severity.WARNING,
    ) -> None:
        """What of a rule means nothing; of a cluster that is not seen that is not known."""
        cluster = selector.cluster
        if cluster not in self.now:
            return
        names = self.patterned.get(cluster)
        if names is None:
            names = ClusterNames(self.inputs.clusters[cluster], self.now[cluster], self.gone.get(cluster))
            self.patterned[cluster] = names
        if meant:
            self.findings += idle_patterns(selector, place, names, meant, severity)
        else:
            self.findings.append(idle_rule(selector, place, names, severity))

    def _missing(self, group: str, member: KnownMember, where: Location) -> None:
        cluster = member.source.cluster
        if (cluster, member.source.machine) not in self.unread:  # what is there and cannot be read is told by `unread`
            self.findings.append(missing(member, group, where, believed=cluster not in self.incomplete))

    def _excluded_too(self, name: str, group: str, where: Location, exclusion: Location) -> None:
        self.findings.append(
            Diagnostic(
                "RCL3003",
                Severity.ERROR,
                f"{name!r} is both excluded and a member of {group}",
                "Remove it from one of them: an `except` in the group, or a narrower exclusion.",
                where,
                also=(exclusion,),
                subject=name,
            )
        )

    def _contested(self) -> None:
        for source in sorted(self.rivals):
            names = {claim.group for claim in self.rivals[source]}
            if len(names) < 2:
                continue
            places = sorted({claim.place for claim in self.rivals[source]})
            name = self._name(source)
            groups = " and ".join(sorted(names))
            self.findings.append(
                Diagnostic(
                    "RCL3004",
                    Severity.ERROR,
                    f"{name!r} is a member of {groups}; only one group can protect a virtual machine",
                    "Remove it from one of them with `except`, or by narrower names or labels.",
                    places[0],
                    also=tuple(places[1:]),
                    subject=name,
                )
            )

    def _renewed(self) -> None:
        """A new machine under the name of one that is gone is another machine, and people want to be told."""
        gone = {
            (c, fold(each.name)): each
            for c, lost in self.gone.items()
            for each in lost.candidates
            if (c, each.source.machine) not in self.unread
        }
        if not gone:
            return
        for cluster, seen in sorted(self.now.items()):
            for candidate in seen.candidates:
                old = gone.get((cluster, fold(candidate.name)))
                if old is None:
                    continue
                self.findings.append(
                    Diagnostic(
                        "RCL3005",
                        Severity.WARNING,
                        f"{candidate.name!r} on {cluster} is not the same virtual machine as before: its id is "
                        f"{candidate.source.machine}, it was {old.source.machine}",
                        "The new one gets its own replica; the recovery points of the old one are kept under its id.",
                        subject=candidate.name,
                    )
                )

    def _name(self, source: DataSource) -> str:
        seen = self.now.get(source.cluster)
        candidate = seen.machines.get(source.machine) if seen is not None else None
        known = candidate or self.lost.get(source)
        return known.name if known else source.machine
