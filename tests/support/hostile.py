"""Untrusted text that a report shows: each piece is an attack on one of the formats."""

from __future__ import annotations

PIECES = (
    "<script>alert(1)</script>",
    "]]></system-out>",
    "::error file=x::y",
    "##[add-mask]x",
    "\n::set-output name=a::b",
    "\r\n::stop-commands::x",
    "%0A::warning::z",
    '=cmd()|"calc"!A1',
    "@everyone",
    "someone/repo#1",
    "!1 ~label $1",
    "`code` |cell| *b* _i_",
    "![x](https://tracker.example/p.png)",
    "https://phish.example/",
    "</details>",
    "&lt;b&gt;",
    "\x1b[31m\x00\x0b\u202e\ufffe",
    "GH-12 0123abcdef0123",
)
ALL = " ".join(PIECES)
FILE_NAMES = (
    "=cmd().py",
    "a b%20c#d?.py",
    "]]>&<script>.py",
    "::error::x,y:z.py",
    "new\nline\n::error::owned.py",
    "@team |x| `y`.py",
    "ümlaut.py",
)
"""Names of files in a scanned tree."""
