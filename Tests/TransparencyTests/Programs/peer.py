"""The program at each end: `peer.py server FACTS` and `peer.py client FACTS`, where FACTS is JSON.

The server waits at a Unix socket in the facts' directory; for each case the client connects there, and
each end does the case in a process of its own. The client writes what both saw to DIRECTORY/CASE.json."""

import json, os, signal, socket, sys, time, traceback

import table
from end import End, Over, SLOWNESS, name_of


def perform(case, role, facts, channel, lines):
    """Does one end of a case. What it saw, and where it was if it did not come to its end."""
    end = End(role, facts, case, channel, lines)

    def give_up(*_):
        raise Over("took too long")

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(case.limit * SLOWNESS)
    try:
        getattr(case.ends, role)(end)
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name == role]
        what = name_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        end.see("stopped", f"{what} at `{frames[-1].line if frames else '?'}`")
    signal.alarm(0)
    for thing in end.kept:
        thing.close()
    return end


def serve(facts):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(facts["directory"] + "/channel")
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        channel, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            lines = channel.makefile("r")
            case = table.CASES[json.loads(lines.readline())]
            end = perform(case, "server", facts, channel, lines)
            try:
                channel.sendall((json.dumps({"seen": end.seen}) + "\n").encode())
            except OSError:
                pass
            os._exit(0)
        channel.close()


def call(case, facts):
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(facts["directory"] + "/channel")
    channel.sendall((json.dumps(case.key) + "\n").encode())
    end = perform(case, "client", facts, channel, channel.makefile("r"))
    server = [["stopped", "gave no answer"]]
    try:
        channel.shutdown(socket.SHUT_WR)
        signal.alarm(case.limit * SLOWNESS)
        for line in end.lines:
            answer = json.loads(line)
            if isinstance(answer, dict) and "seen" in answer:
                server = answer["seen"]
                break
    except BaseException:
        pass
    text = json.dumps({"client": end.seen, "server": server})
    path = f"{facts['directory']}/{case.key}.json"
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)
    os._exit(0)


def run(keys, width, facts):
    """Does these cases, so many at once."""
    waiting, running = list(keys), {}
    while waiting or running:
        while waiting and len(running) < width:
            case = table.CASES[waiting.pop(0)]
            process = os.fork()
            if process == 0:
                call(case, facts)
            running[process] = (case, time.monotonic())
        process, _ = os.wait()
        case, begin = running.pop(process)
        if os.environ.get("ISTBPF_SHOW_TIMES"):
            print(f"{time.monotonic() - begin:.1f} {case.key}", file=sys.stderr, flush=True)


def dial(facts):
    print("ready", flush=True)
    for line in sys.stdin:
        keys, width = json.loads(line)
        run(keys, width, facts)
        print("done", flush=True)


if __name__ == "__main__":
    role, facts = sys.argv[1], json.loads(sys.argv[2])
    table.load()
    # A test's thread, which started this, may have signals blocked.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    (serve if role == "server" else dial)(facts)
