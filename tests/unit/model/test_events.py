"""Payloads are their JSON, and a node can follow a newer one."""

import msgspec
import pytest

from argyll.model import json
from argyll.model.events import PAYLOADS, StepFailed, WorkStarted, decode_payload


def test_names_on_the_wire_are_unique_and_known():
    assert all(name and payload.event_type == name for name, payload in PAYLOADS.items())
    assert len(set(PAYLOADS.values())) == len(PAYLOADS)


def test_what_is_not_set_is_not_written():
    assert json.decode(json.encode(StepFailed("f", "s", "boom"))) == {"flow_id": "f", "step_id": "s", "error": "boom"}


def test_payloads_survive_and_unknown_fields_are_passed_over():
    started = WorkStarted("f", "s", "t", {"x": 1}, node_id="n", attempt=2)
    assert decode_payload("work_started", json.encode(started)) == started
    newer = json.decode(json.encode(started)) | {"later": True}
    assert decode_payload("work_started", json.encode(newer)) == started
    assert decode_payload("invented_later", b"{}") is None


def test_a_damaged_payload_is_an_error():
    with pytest.raises(msgspec.DecodeError):
        decode_payload("work_started", b'{"flow_id": 5}')
