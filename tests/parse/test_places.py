"""Where sites keep what is durable: each path is one site's."""

from __future__ import annotations

import pytest

from reconciler.parse import read_texts

SITE = """\
apiVersion: reconciler/v1
kind: Site
metadata: {{name: {name}}}
spec:
  timeZone: UTC
  prune: false
  state: {{sqlite: {{path: {state}}}}}
  clusters:
    - name: hci-01
      inventory: {{directory: {{path: clusters/hci-01}}}}
  servers:
    - name: mabs-01
      engine: {{embedded: {{path: {store}}}}}
      volumes: [{{name: a, capacity: 1 TB}}]
"""


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (("var/a.db", "var/s1"), ("var/b.db", "var/s2"), 0),
        (("var/a.db", "var/s1"), ("var/a.db", "var/s2"), 1),
        (("var/hq.prod", "var/s1"), ("var/hq.test", "var/s2"), 1),
        (("var/a.db", "var/s1"), ("var/./A.db", "var/s2"), 1),
        (("var/a.db", "var/s1"), ("var/b.db", "var/x/../s1"), 1),
        (("var/a.db", "var/s1"), ("var/b.db", "var/a"), 1),
        (("var/v1.a/hq.db", "var/s1"), ("var/v1.b/hq.db", "var/s2"), 0),
    ],
)
def test_two_sites_in_one_place(one: tuple[str, str], other: tuple[str, str], told: int) -> None:
    texts = {
        f"policies/{name}.yaml": SITE.format(name=name, state=state, store=store).encode()
        for name, (state, store) in (("one", one), ("two", other))
    }
    found = [each for each in read_texts(texts, "here").diagnostics if each.code == "RCL2111"]
    assert len(found) == told
    for each in found:
        assert each.location is not None
        assert len(each.also) == 1
