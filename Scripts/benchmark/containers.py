"""istbpf-oci where it only passes a command on, beside the runtime that it passes it to."""
import os
import shutil
import subprocess
import time

from laboratory.programs import Failure
from .report import take_turns

SECTIONS = ("pass-through",)
# What engines ask of a runtime again and again, and what costs a runtime least.
COMMANDS = [("state of no container", ["state", "istbpf-bench-nobody"]), ("--version", ["--version"])]


def measure(programs, options, log):
    runtime = shutil.which("runc") or shutil.which("crun")
    if not runtime:
        raise Failure("there is neither runc nor crun")
    wrapper = programs.path("istbpf-oci")
    environment = {**os.environ, "ISTBPF_OCI_RUNTIME": runtime}

    def milliseconds(program, arguments):
        start = time.perf_counter()
        subprocess.run([program, *arguments], env=environment, stdout=log, stderr=log)
        return (time.perf_counter() - start) * 1000

    rows = []
    for case, arguments in COMMANDS:
        contenders = {"istbpf-oci": lambda: milliseconds(wrapper, arguments),
                      os.path.basename(runtime): lambda: milliseconds(runtime, arguments)}
        rows += take_turns("pass-through", case, "ms", 5 * options.rounds, contenders,
                           os.path.basename(runtime))
    return rows
