"""The source scanner: reads Python, C, C++, Cython, Rust and build files, and passes them to rules.

How it works, and what a room (`python/`, `c/`, `cython/`, `rust/`, `build/`) supplies:

1. `files.find_files` says which files of a tree are checked, and which are left out and why.
2. *First pass.* For every file and language, `Reader.survey(source)` takes a quick look (regular expressions, no
   parser) and returns JSON data or `None`: the lock macros that a header defines, the entry points of a C file,
   the directives of `setup.py`. `Reader.gather(surveys)` makes one context of them for the whole tree.
3. *Second pass.* `Reader.wants(source, rules)` may say that a file cannot interest any rule. Of the rest,
   `Reader.parse(source, context)` makes a unit, a subclass of `Unit`; each rule of the language gets `check(unit)`.
   Shared models (guards, escapes, containers) are attributes of the unit, computed once, on first use.
4. *Shared state.* If a `SharedStateRule` asks, `Reader.summarize(unit)` says what each function of a file does to
   shared state, and `Reader.compose(summaries, context)` follows the calls of the whole tree to the entry points and
   returns `Access` values (`ftaudit.source.shared_state`), from which races and the state table are made.
5. *Whole tree.* Each `BuildRule` gets `check(project)`: all contexts, and all findings so far.
6. Silencing comments are applied, each `CommentRule` gets `check(comments)`: those that silence nothing. `scan`
   returns a `ScanResult`.

The room's package exports `READER`. `Reader.needs` says what its units see of other rooms' contexts, because
results are cached by content, rule pack, target and the contexts that count. A reader raises `ParseError` for a file
that it cannot read; whatever else a reader or a rule raises becomes a skipped row that names the place, and the scan
goes on. Walks over trees are loops with their own stack: real files are nested deeper than Python recurses.

A rule subclasses `PythonRule`, `CRule`, `CythonRule`, `RustRule` (each `check(unit)`) or `BuildRule`
(`check(project)`). `examples.check_example(rule, example)` runs one over a `SourceExample`.
"""

from ftaudit.source.base import (
    BuildRule,
    CommentRule,
    CRule,
    CythonRule,
    IdleComment,
    ParseError,
    Project,
    PythonRule,
    Reader,
    Role,
    Room,
    RustRule,
    SharedStateRule,
    SourceFile,
    Survey,
    TreeContext,
    Unit,
)

__all__ = [
    "BuildRule",
    "CRule",
    "CommentRule",
    "CythonRule",
    "IdleComment",
    "ParseError",
    "Project",
    "PythonRule",
    "Reader",
    "Role",
    "Room",
    "RustRule",
    "SharedStateRule",
    "SourceFile",
    "Survey",
    "TreeContext",
    "Unit",
]
