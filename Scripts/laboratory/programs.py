"""The programs that a measurement or comparison builds and starts, and their end."""
import contextlib
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# How many times slower than usual an emulated machine is, as Scripts/vm-test says.
SLOWNESS = int(os.environ.get("ISTBPF_TEST_SLOWNESS", "1"))


class Failure(Exception):
    """Something that keeps it from being done, in words for the user."""


class Programs:
    """The built programs, and those that run; stops them, last first, and removes what they made."""

    def __init__(self, configuration):
        self.directory = ROOT / ".build" / configuration
        self.running = []
        self.installations = []

    def build(self, configuration, *products):
        # As it is installed: a program that needs no Swift runtime also starts sooner.
        static = ["--static-swift-stdlib"] if configuration == "release" else []
        for product in products:
            subprocess.run(["swift", "build", "--quiet", *static,
                            "-c", configuration, "--product", product],
                           cwd=ROOT, check=True)

    def path(self, name):
        return str(self.directory / name)

    def spawn(self, command, **options):
        # A session of its own: Ctrl-C is for this script, which then stops everything in order.
        process = subprocess.Popen(command, text=True, start_new_session=True, **options)
        self.running.append(process)
        return process

    def end(self, process):
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)

    def istbpf(self, installation, command, *arguments):
        result = subprocess.run(
            [self.path("istbpf"), command, "--installation", installation, *arguments], text=True,
            capture_output=True, start_new_session=True)
        if result.returncode != 0:
            raise Failure(f"istbpf {command} {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def start_daemon(self, installation, log, prefix=(), arguments=()):
        """Starts a daemon with `arguments`, `prefix` before its command, and waits until it answers."""
        with contextlib.suppress(Failure):  # what a run that was killed left behind
            self.istbpf(installation, "uninstall", "--force")
        self.installations.append(installation)
        daemon = self.spawn(
            [*prefix, self.path("istbpfd"), "--installation", installation, *arguments],
            stdout=log, stderr=log)
        end = time.monotonic() + 20 * SLOWNESS
        while time.monotonic() < end:
            if daemon.poll() is not None:
                break
            with contextlib.suppress(Failure):
                self.istbpf(installation, "ps")
                return
            time.sleep(0.02)
        log.seek(0)
        raise Failure(f"istbpfd did not become ready:\n{log.read()}")

    def stop(self):
        while self.running:
            self.end(self.running[-1])
        while self.installations:
            self.istbpf(self.installations.pop(), "uninstall", "--force")
