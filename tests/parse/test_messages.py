"""What is said of the slips that people make: what is wrong in one clause, and what to write instead."""

from __future__ import annotations

import pytest

from reconciler.expressions import evaluate
from reconciler.parse.read import read_texts
from reconciler.plan.approval.guardrails import guard_documents
from reconciler.plan.cel_errors import plain

GROUP = """\
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: erp}
spec:
  site: hq
  server: emb-01
  displayName: Erp
  members:
    - virtualMachines: {cluster: hci-01, names: [web-01]}
  shortTerm: {retention: 14d, synchronization: 1h}
"""
SITE = """\
apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  prune: false
  state: {sqlite: {path: var/hq.db}}
  timeZone: Europe/Berlin
  clusters:
    - name: hci-01
      inventory: {directory: {path: cluster}}
  servers:
    - name: emb-01
      engine: {embedded: {path: var/emb-01}}
      volumes: [{name: v, capacity: 80 TB}]
"""
RULE = """\
apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: rule}
spec:
  match: {kinds: [ProtectionGroup]}
  enforce: deny
  validations:
    - expression: |
        true &&
          EXPRESSION
      message: not so
"""

SLIPS = [
    # what was right, what is written instead, line:column, what is said, what to do
    ("{name: erp}", "{name: erp, labels: {release: 1.10}}", "3:41", "1.10", 'Quote it as written: "1.10".'),
    ("80 TB", "80", "14:37", "capacity is a number, 80", "A size needs a unit: 80 TB or 80 TiB."),
    ("80 TB", "80000", "14:37", "capacity is a number, 80000", "A size needs a unit: 80000 GB or 80 TB."),
    ("80 TB", '"80"', "14:37", "'80' does not fit", "A size needs a unit: 80 TB or 80 TiB."),
    ("retention: 14d", "retention: 14", "10:26", "retention is a number, 14", "A length of time needs a unit: 14d."),
    ("retention: 14d", 'retention: "14"', "10:26", "'14' does not fit", "A length of time needs a unit: 14d."),
    ("retention: 14d", "retention: 14m", "10:26", "'14m' does not fit", "Minutes or months? 14min, 14mo."),
    ("retention: 14d", "retention: 14 M", "10:26", "'14 M' does not fit", "Minutes or months? 14min, 14mo."),
    ("retention: 14d", "retention: 14 days", "10:26", "'14 days' does not fit", "Write 14d."),
    ("retention: 14d", "retention: 2Weeks", "10:26", "'2Weeks' does not fit", "Write 2w."),
    ("14d,", "14d, minimumPoints: 4.0,", "10:46", "minimumPoints is a number, 4.0", "Write 4."),
    ("14d,", "14d, rpo: 5 h,", "10:36", "rpo '5 h' does not fit", "A length of time has no space: 5h."),
    (
        "synchronization: 1h",
        "synchronization: 20min",
        "10:48",
        "'20min' is not known",
        "Write one of 15min, 30min, 45min, 1h, 2h, 4h, 6h, 12h, 24h, beforeRecoveryPoint.",
    ),
    ("synchronization: 1h", "synchronization: 120min", "10:48", "'120min' is not known", "Write 2h: 120min is 2h."),
    ("displayName: Erp", "displayName: " + "x" * 65, "7:16", "has 65 characters; 64 fit", "Shorten it."),
    ("displayName: Erp", "displayName: 'Erp", "7:16", "the quote that opens here is never closed", "Close it with"),
    ("displayName: Erp", 'displayName: "Erp', "7:16", "the quote that opens here is never closed", "Close it with"),
    (
        "displayName: Erp",
        r'displayName: "D:\Files"',
        "7:19",
        "\\ begins an escape",
        "Write \\\\ for a backslash, or use",
    ),
    ("[web-01]", "[*-prod]", "9:50", "*-prod without quotes is an alias", 'begins with * is quoted: "*-prod".'),
    ("[web-01]", "[!prod]", "9:50", "!prod without quotes is a tag", 'begins with ! is quoted: "!prod".'),
    ("[web-01]", "\n        - web-01\n", "10:9", "a value is expected here", "has commas and no hyphens."),
    (
        "  server:",
        "  \u0455erver:",
        "6:3",
        "unknown field '\u0455erver' in spec",
        "Did you mean server? Its first letter is U+0455 (cyrillic small letter dze), not s.",
    ),
    ("{name: erp}", "{name:erp}", "3:12", "metadata.name:erp has no value", "missing after the colon: name: erp."),
    ("{name: erp}", "\n  name:erp", "4:3", "metadata is a text", "missing after the colon: name: erp."),
    ("server: emb-01", "server:emb-01", "6:3", "server:emb-01 is no field", "after the colon: server: emb-01."),
    ("server: emb-01", "server", "6:3", "'server' has no colon", "Write a colon and a space after"),
    ("name: erp", "name: {{ name }}", "3:18", "looks like a template that was not rendered", "Render the template"),
    ("  server: emb-01", "  {{ if x }}\n  server: emb-01", "6:3", "looks like a template", "Render the template"),
    ("1h}", "1h, recoveryPoints: {times: ['22:00'], days: [Saturday]}}", "10:94", "'Saturday'", "Did you mean Sa?"),
    ("EXPRESSION", "object.spec.site == == 1", "10:31", "CEL does not expect this '=='", "Remove it, or write"),
    ("EXPRESSION", "object.spec.site = 1", "10:28", "CEL does not expect this '='", "Write == to compare."),
    ("EXPRESSION", "(1 == 1", "10:18", "')' is missing at the end", "Write ')' there."),
    ("EXPRESSION", "1 ==", "10:15", "the expression is not complete", "Write the rest of it"),
    ("EXPRESSION", "objct.spec.site == 'hq'", "10:11", "CEL knows no 'objct'", "Did you mean object?"),
    (
        "EXPRESSION",
        "object.spec.shortTerm.retention > duration('14d')",
        "10:55",
        "'14d' is not a duration to CEL",
        "336h.",
    ),
    ("EXPRESSION", "object.spec.rpoo == 1", "8:19", "there is no field 'rpoo'", "Ask with has(...) first"),
    ("EXPRESSION", "object.spec.site + 1 == 2", "8:19", "+ does not go with a text and a whole number", "one kind"),
    ("EXPRESSION", "object.spec.site", "8:19", "&& does not go with these values", "Give it true or false"),
]


@pytest.mark.parametrize(("right", "written", "place", "what", "remedy"), SLIPS, ids=[each[1][:40] for each in SLIPS])
def test_a_slip(right: str, written: str, place: str, what: str, remedy: str) -> None:
    """One message, at its place."""
    texts = {"policies/group.yaml": GROUP, "policies/site.yaml": SITE, "policies/rule.yaml": RULE}
    ((name, text),) = [(name, text) for name, text in texts.items() if right in text]
    texts[name] = text.replace(right, written, 1)
    texts["policies/rule.yaml"] = texts["policies/rule.yaml"].replace("EXPRESSION", "true")
    reading = read_texts({name: text.encode() for name, text in texts.items()}, "policies")
    found = list(reading.diagnostics)
    if reading.policies is not None:
        found += guard_documents(reading.policies, evaluate)
    assert [(each.location, what in each.message, remedy in each.remedy) for each in found] == [
        (found[0].location, True, True)
    ], found
    assert str(found[0].location) == f"{name}:{place}"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("Syntax error: mismatched input '<EOF>' expecting {'[', '{'} [INVALID_ARGUMENT]", "not complete"),
        ("Syntax error: token recognition error at: ''abc'", "never closed"),
        ("found no matching overload for '@in' applied to '(dyn, string)'", "in does not go with a value and a text"),
        ("found no matching overload for 'size' applied to '(int)'", "size(...) does not go with a whole number"),
        ("Index error: index=3 size=1", "no item 3"),
        ("Applying SELECT to non-message type", "or is null"),
        ("something new", "something new"),
    ],
)
def test_what_cel_says(said: str, what: str) -> None:
    assert what in plain(said)[0]
