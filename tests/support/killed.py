"""Stops a process and is killed, again and again: `python -m tests.support.killed PID ADDRESS TIMES`.

ADDRESS is that of a counter of the process, which has to go on each time. Prints how often it was killed while the
process stood still, and how often on the way there.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

from direct.pause import stopped
from gomap.process import ProcessMemory
from gomap.target import Arch

#: The process goes on within so many seconds, on a machine with other work.
SECONDS = 60.0


def main(pid: int, address: int, times: int) -> None:
    memory, still = ProcessMemory(pid), 0
    for i in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            with stopped(pid, Arch("amd64", 8, "little")):
                os.write(writing, b"!")
                signal.pause()
        os.close(writing)
        if i % 2:
            time.sleep(random.random() / 500)
        else:
            assert os.read(reading, 1) == b"!"
            still += 1
            before = count(memory, address)
            time.sleep(0.002)
            assert count(memory, address) == before, "it does not stand still"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        until, before = time.monotonic() + SECONDS, count(memory, address)
        while count(memory, address) == before:
            assert time.monotonic() < until, f"it does not go on after {i} times"
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            facts = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        assert facts["TracerPid"] == "0\n" and facts["State"][0] in "RSD", facts
    print(still, times - still)


def count(memory: ProcessMemory, address: int) -> int:
    return int.from_bytes(memory.read(address, 8), "little")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2], 0), int(sys.argv[3]))
