"""How an applied revision is named: hashes of steps, digests of plans, ids of applies.

Agent and engine compute the same texts from the same values; nothing here reads or decides.
"""

import hashlib
from base64 import b32encode
from typing import cast

from argyll.model import json
from argyll.model.json import JSON
from argyll.model.step import Step
from argyll.model.wire import canonical_step

HASH_CHARS = 32
"""128 bits: an accident never makes two steps equal, and a catalog of 10,000 entries stays small."""


def live_hash(step: Step) -> str:
    """The hash of a step as the catalog keeps it; equal exactly when the definitions are. Made once a step."""
    kept = cast("dict[str, str]", step.__dict__)
    if "live_hash" not in kept:
        kept["live_hash"] = hashlib.sha256(canonical_step(step)).hexdigest()[:HASH_CHARS]
    return kept["live_hash"]


def digest(value: JSON) -> str:
    """`sha256:` and the hash of a JSON value, whatever the order of its keys."""
    return f"sha256:{hashlib.sha256(json.canonical(value)).hexdigest()}"


def content_hash(body: bytes) -> str:
    """The name of a staged chunk."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def apply_id(source: str, revision: str, previous: str, plan: str, applied_sequence: int) -> str:
    """The id of an apply, the same for every attempt at it.

    `plan` is any text that is equal for equal plans, `applied_sequence` that of the source's last applied revision (-1
    without one): healing the same drift a second time is another apply.
    """
    intent = json.canonical([source, revision, previous, plan, applied_sequence])
    return b32encode(hashlib.sha256(intent).digest()[:20]).decode().lower()
