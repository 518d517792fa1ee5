"""A user's home directory and checkout, and commands that are typed there."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class User:
    """A home directory and a checkout, and the environment to type commands in."""

    home: Path
    checkout: Path
    env: dict[str, str]

    def type(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={**self.env, **env},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def install(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.type(str(self.checkout / "install.sh"), *arguments, **env)

    def tree(self) -> dict[str, bytes | None]:
        """All that is in the home: a file's bytes, None for a directory."""
        paths = sorted(self.home.rglob("*"))
        return {str(p.relative_to(self.home)): None if p.is_dir() else p.read_bytes() for p in paths}
