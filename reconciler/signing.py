"""SSH signatures, made and checked by OpenSSH's own `ssh-keygen -Y`, so that anybody can check them without us."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from reconciler import system_calls
from reconciler.errors import Refused, Unreachable


def sign(payload: bytes, key: Path, namespace: str) -> str:
    """The signature, armoured. Raises `Refused`, RCL0011, where the key cannot sign."""
    with tempfile.TemporaryDirectory() as folder:
        message = Path(folder) / "message"
        message.write_bytes(payload)
        ended = _keygen("-Y", "sign", "-f", str(key), "-n", namespace, str(message))
        if ended.returncode:
            why = ended.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
            raise Refused("RCL0011", f"the key {key} cannot sign: {why}", "Give a private SSH key.", subject=str(key))
        return (Path(folder) / "message.sig").read_text(encoding="utf-8")


def verify(payload: bytes, signature: str, signers: bytes, identity: str, namespace: str) -> bool:
    """Whether `identity` signed the payload with a key that `signers` (OpenSSH's allowed signers) gives it."""
    with tempfile.TemporaryDirectory() as folder:
        allowed, signed = Path(folder) / "signers", Path(folder) / "signature"
        allowed.write_bytes(signers)
        signed.write_text(signature, encoding="utf-8")
        words = ("-Y", "verify", "-f", str(allowed), "-I", identity, "-n", namespace, "-s", str(signed))
        try:
            return _keygen(*words, given=payload, seconds=_PATIENCE_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False


#: How long the check of a signature may take, in seconds. Signing has no end: a person may have to touch a key.
_PATIENCE_SECONDS = 60.0


def _keygen(*words: str, given: bytes = b"", seconds: float | None = None) -> subprocess.CompletedProcess[bytes]:
    command = (system_calls.program("ssh-keygen"), *words)
    try:
        return subprocess.run(command, input=given, capture_output=True, check=False, timeout=seconds)
    except FileNotFoundError as error:
        raise Unreachable("RCL0010", "the program ssh-keygen is missing", "Install OpenSSH.") from error
