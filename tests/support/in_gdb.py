"""Runs inside gdb: visits a program's stages, gives gdb the plan's commands at each, writes a line an answer.

The plan (JSON in the file that GOMAP_PLAN names): "answers", the file to write; "stages", a list of
[stage, commands]; "truth", the file the program publishes to, or null when gdb was started on a core; "start",
the gdb commands that bring the program to its first stage (`run` unless given).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gdb


def main() -> None:
    plan = json.loads(Path(os.environ["GOMAP_PLAN"]).read_text())
    with Path(plan["answers"]).open("w") as answers:
        start = plan.get("start", ["run"])
        for stage, commands in plan["stages"]:
            if plan["truth"] is not None:
                for line in start:
                    gdb.execute(line)
                start = ["continue"]
                check_stop(stage, Path(plan["truth"]))
            for line in commands:
                answer = {"stage": stage, "command": line, **ask(line, plan["answers"])}
                answers.write(json.dumps(answer) + "\n")
                answers.flush()
        # The reader's sign that gdb came to the end of the plan.
        answers.write(json.dumps({"end": gdb.VERSION}) + "\n")
    if plan["truth"] is not None:
        gdb.execute("kill")


def check_stop(stage: str, truth: Path) -> None:
    """Each stop is the breakpoint of the stage that the program published last."""
    if gdb.selected_inferior().pid == 0:
        raise gdb.GdbError(f"the program ended before stage {stage}")
    published = json.loads(truth.read_text().splitlines()[-1])["stage"]
    if published != stage:
        raise gdb.GdbError(f"the program stopped at stage {published} and not at {stage}")


def ask(line: str, answers: str) -> dict[str, Any]:
    # gdb.execute's to_string loses what a command printed before it failed, and gdb 13 dies of an error while
    # it logs to a file. So standard output itself becomes a file for the while.
    error = None
    with Path(answers + ".output").open("w+", encoding="utf-8", errors="surrogateescape", newline="") as file:
        gdb.flush()
        stdout = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            gdb.execute(line)
        except gdb.error as problem:
            error = str(problem)
        finally:
            gdb.flush()
            os.dup2(stdout, 1)
            os.close(stdout)
        file.seek(0)
        return {"output": file.read(), "error": error}


main()
