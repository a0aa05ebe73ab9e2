"""Sealing: a chain that is whole -> its anchor, signed where there is a key, with a copy to be kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconciler import files, signing
from reconciler.errors import Damaged, Severity
from reconciler.state import SIGNATURE, SUMS, EvidenceFolder, check_chain, read_sums

#: What a signature of an anchor is for, in OpenSSH's terms.
NAMESPACE = "reconciler-evidence"


def seal(evidence: EvidenceFolder, key: Path | None, copy: Path | None) -> int:
    """Seals; returns how many segments there are. `copy` is a folder; an anchor that is there already must be one of
    this chain. Raises `Damaged`, RCL5033, where the chain is not as it was written: such a one is not vouched for."""
    older = read_sums(copy / SUMS) if copy is not None else {}
    sign = _signer(evidence, older, key)
    written = evidence.seal(sign)
    if copy is not None:
        files.make_folder(copy)
        if (copy / SIGNATURE).exists():
            files.unlink(copy / SIGNATURE)
        for name, data in written.items():
            files.write_whole(copy / name, data)
    return len(read_sums(evidence.folder / SUMS))


def anchor(evidence: EvidenceFolder, key: Path | None) -> dict[str, bytes]:
    """What sealing would write, by name, for an export of evidence that cannot be written to. Raises as `seal`."""
    return evidence.anchor(_signer(evidence, {}, key))


def _signer(evidence: EvidenceFolder, older: dict[str, str], key: Path | None) -> Callable[[bytes], bytes] | None:
    """Checks the chain before it is vouched for; what signs it, where there is a key."""
    check = check_chain(evidence, read_sums(evidence.folder / SUMS) | older)
    wrong = next((each for each in check.findings if each.severity is Severity.ERROR), None)
    if wrong is not None:
        what = f"the evidence in {evidence.folder} is not as it was written, so it is not sealed. First: {wrong}"
        raise Damaged("RCL5033", what, "See `reconciler evidence verify`.", subject=str(evidence.folder))
    return None if key is None else lambda anchor: signing.sign(anchor, key, NAMESPACE).encode()
