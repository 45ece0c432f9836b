"""Imported functions' answers if the true answer is unknown: recorded, and changed on another try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guess:
    """One guessed answer."""

    name: str
    """The function that was called, or the requested attribute."""
    answer: int
    choices: int
    """The number of possible answers."""
    environment: bool
    """The true answer differs from machine to machine (`getenv`), so none is more plausible than another."""


class Oracle:
    """Gives the first answer to every question, except those whose number `overrides` names."""

    def __init__(self, overrides: Mapping[int, int]) -> None:
        self.overrides = overrides
        self.questions: list[Guess] = []
        self.guesses: list[str] = []
        """The guessed answers, in order: the questions, and answers that have no alternative here."""
        self.listener: Callable[[str], None] | None = None
        """Called with each guess."""

    def ask(self, name: str, choices: int, *, environment: bool = False) -> int:
        """Return which of so many answers to give, counted from 0, the most plausible one."""
        choice = self.overrides.get(len(self.questions), 0)
        choice = choice if choice < choices else 0
        self.questions.append(Guess(name, choice, choices, environment))
        self.guess(name)
        return choice

    def guess(self, name: str) -> None:
        """Note that the current answer is a guess."""
        self.guesses.append(name)
        if self.listener is not None:
            self.listener(name)
