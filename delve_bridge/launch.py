"""What an editor's launch or attach request asks for, as the command line of a dlv that has a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gomap.errors import UsageError

#: The redirections of a launch request, and dlv's names for them.
_REDIRECTS = {"stdinFrom": "stdin", "stdoutTo": "stdout", "stderrTo": "stderr"}
#: Attributes that mean something else, or nothing, to a remote attach.
_NOT_OF_AN_ATTACH = ("processId", "waitFor", "guessSubstitutePath", "followExec", "followExecRegex")


@dataclass(frozen=True)
class Start:
    """words: dlv's arguments, without those of its server. program, core: files, where the request names them.

    folder: where dlv is to run; building: what it builds; remote_output: whether the program's output is to come as
    DAP events; follow: a regular expression for the child processes to debug too, None for none.
    """

    words: list[str]
    folder: str | None
    environment: dict[str, str]
    program: str | None = None
    core: str | None = None
    building: str | None = None
    remote_output: bool = False
    follow: str | None = None


def launch(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Start:
    """Raises UsageError if only `dlv dap` itself can carry the request out or report its fault."""
    given = _Given(arguments)
    mode, program, folder = given.text("mode") or "debug", given.text("program"), given.text("dlvCwd") or None
    if arguments.get("noDebug"):
        raise UsageError("the program runs without a debugger (noDebug)")
    if mode not in ("debug", "test", "exec", "core"):
        raise UsageError(f"gomap does not know the mode {mode!r}")
    if not program or program.startswith("-"):
        raise UsageError("the program attribute is missing")
    output_mode = given.text("outputMode") or "local"
    redirects = [f"-r={name}:{given.text(key)}" for key, name in _REDIRECTS.items() if given.text(key)]
    if output_mode not in ("local", "remote") or (output_mode == "remote" and redirects):
        raise UsageError(f"gomap does not know the outputMode {output_mode!r}")

    words = [mode, program]
    core = given.text("coreFilePath") or None
    if mode == "core":
        if core is None:
            raise UsageError("the coreFilePath attribute is missing")
        words.append(core)
    else:
        words += redirects
        words += _option("--wd", given.text("cwd"))
        words += _option("--backend", given.backend())
    if mode in ("debug", "test"):
        # `dlv test` has another name for it than `dlv dap`.
        own = f"__debug_bin{os.getpid()}" if mode == "test" else ""
        words += _option("--output", given.text("output") or own)
        words += _option("--build-flags", _flags(arguments.get("buildFlags")))
    if program_arguments := given.texts("args"):
        words += ["--", *program_arguments]

    variables = dict(environment)
    for name, value in given.mapping("env").items():
        if value is None:
            variables.pop(name, None)
        elif isinstance(value, str):
            variables[name] = value
        else:
            raise UsageError(f"the environment variable {name} is not a string")
    return Start(
        words,
        folder,
        variables,
        _file(folder, program) if mode in ("exec", "core") else None,
        None if core is None else _file(folder, core),
        {"debug": program, "test": f"tests of {program}"}.get(mode),
        output_mode == "remote",
        given.text("followExecRegex") if arguments.get("followExec") else None,
    )


def attach(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Start:
    """The same for an attach to a process of this machine."""
    given = _Given(arguments)
    name, pid = given.text("waitFor"), arguments.get("processId") or 0
    if type(pid) is not int or bool(name) == bool(pid):
        raise UsageError("an attach needs the processId or waitFor attribute")
    words = ["attach", *([str(pid)] if pid else [f"--waitfor={name}"]), *_option("--backend", given.backend())]
    return Start(words, None, dict(environment))


def as_remote(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a launch or attach request for one that attaches to a server that has the program."""
    return {**{k: v for k, v in arguments.items() if k not in _NOT_OF_AN_ATTACH}, "mode": "remote"}


@dataclass(frozen=True)
class _Given:
    """A request's attributes, whose types are checked."""

    arguments: Mapping[str, Any]

    def text(self, name: str) -> str:
        value = self.arguments.get(name)
        if not isinstance(value, (str, type(None))):
            raise UsageError(f"the attribute {name} is not a string")
        return value or ""

    def texts(self, name: str) -> list[str]:
        value = self.arguments.get(name) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UsageError(f"the attribute {name} is not a list of strings")
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self.arguments.get(name) or {}
        if not isinstance(value, dict):
            raise UsageError(f"the attribute {name} is not an object")
        return value

    def backend(self) -> str:
        backend = self.text("backend")
        return "" if backend == "default" else backend


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if value else []


def _flags(given: Any) -> str:
    """buildFlags, a string or a list, as dlv parts them (config.SplitQuotedFields)."""
    if given is None or isinstance(given, str):
        return given or ""
    if not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
        raise UsageError("the attribute buildFlags is neither a string nor a list of strings")
    escaped = (one.replace("\\", "\\\\").replace("'", "\\'") for one in given)
    return " ".join(f"'{one}'" for one in escaped)


def _file(folder: str | None, path: str) -> str:
    return os.path.abspath(os.path.join(folder or ".", path))
