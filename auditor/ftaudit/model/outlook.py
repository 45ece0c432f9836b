"""The outlook: which packages the next CPython release already has, and what the release after it needs rebuilt."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.model.gaps import Gap
from ftaudit.model.words import WheelKind


@dataclass(frozen=True, kw_only=True, slots=True)
class NextWheel:
    """What the next release installs for one package on one platform, from the names of its files."""

    name: NormalizedName
    version: Version | None
    """The version that was judged or, for a plan, the version that it proposes."""
    platform: str
    kind: WheelKind | None
    """`NONE` if the release has no wheel to install, `None` if that is not known."""
    wheel: str | None = None
    compiled: bool = False
    """Whether any wheel of the version has compiled code."""
    later: Version | None = None
    """The nearest later release with a wheel, if the version has no wheel, or a pure one next to compiled ones."""
    gap: Gap | None = None
    """Why `kind` is not known."""

    @property
    def needs_rebuild(self) -> bool | None:
        """Whether the release after the next needs a rebuild of this version; `None` if no build exists yet.

        A wheel for one version of CPython (`cp315t`) works only for that version. `abi3t` wheels work for each later
        version (PEP 803), and so do pure wheels and wheels without an ABI tag.
        """
        match self.kind:
            case None | WheelKind.NONE:
                return None
            case WheelKind.FREE_THREADED:
                return True
            case WheelKind.ABI3T | WheelKind.NATIVE | WheelKind.PURE:
                return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """The packages of a report or plan on the next release of CPython."""

    target: str
    """The newest target, `3.15t`."""
    after: str
    """The release after it, `3.16`, for which nothing can be built yet."""
    packages: tuple[NextWheel, ...]
