"""Reports arrive in frames with the run's nonce; output is split at the child's marks."""

from __future__ import annotations

import json

import pytest

from ftaudit.sandbox.protocol import FRAME_BYTES, FrameReader, OutputSplitter, ProtocolViolation

NONCE = "0123456789abcdef"


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "data",
    [
        (FRAME_BYTES + 1).to_bytes(4, "big"),
        frame(b""),
        frame(b'{"end": 0}'),
        frame(NONCE.upper().encode() + b"{}"),
        frame(NONCE.encode() + b"{"),
        frame(NONCE.encode() + b"[]"),
        frame(NONCE.encode() + b"[" * 100_000),
        frame(NONCE.encode() + b"\xff"),
    ],
)
def test_what_is_no_report_of_the_child_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        list(FrameReader(NONCE).feed(data))


def test_reports_arrive_whole_however_the_bytes_are_cut() -> None:
    messages = [{"begin": 0}, {"end": 0, "text": "é" * 50}, {"done": 1}]
    data = b"".join(frame(NONCE.encode() + json.dumps(message).encode()) for message in messages)
    reader = FrameReader(NONCE)
    heard = [message for at in range(len(data)) for message in reader.feed(data[at : at + 1])]
    assert heard == messages


def test_output_is_cut_at_marks_however_the_bytes_are_cut_and_kept_up_to_its_limit() -> None:
    data = b"zero" + b"MARK" + b"x" * 1000 + b"MARK" + b"two"
    for size in (1, 3, 7, 2000):
        splitter = OutputSplitter("MARK", 10)
        for at in range(0, len(data), size):
            splitter.feed(data[at : at + size])
        assert [splitter.part(number) for number in range(4)] == [b"zero", b"x" * 10, b"two", b""]
