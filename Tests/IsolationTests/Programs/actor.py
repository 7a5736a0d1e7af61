"""One side of an attempt: a hostile container, a neighbour, or who watches. Does what each line of
standard input says, a JSON list of a function's name and its arguments, and answers with one line.

An attempt is `attempt NAME PORT`: it runs in a process of its own, so that whatever it does to itself
ends with it. The answer is an errno's name, `timeout`, `done` where the attempt could do all that it
does, or `breach: ...` where it can tell by itself that it was not stopped."""

import errno, json, os, signal, sys

import across, families, forged, inbound, namespaces, passed, tcp, udp, walls
import watching

place = {}


def know(facts):
    """Addresses and paths that attempts ask for by name, such as `gateway` and `own`."""
    place.update(facts)
    return "known"


def outcome(function, port):
    try:
        return function(place, port) or "done"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno, repr(error))
    except Exception as error:
        return f"broken: {error!r}"


def begin(name, port, more={}):
    """A process that tries, and the pipe that its answer comes by."""
    module, _, function = name.partition(".")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(20 * int(os.environ.get("ISTBPF_TEST_SLOWNESS", 1)))
        place.update(more)
        os.write(writer, outcome(getattr(globals()[module], function), port).encode()[:4000])
        os._exit(0)
    os.close(writer)
    return child, reader


def answer(child, reader):
    text = b""
    while part := os.read(reader, 4096):
        text += part
    os.close(reader)
    os.waitpid(child, 0)
    return text.decode().replace("\n", " ") or "died"


def attempt(name, port):
    return answer(*begin(name, port))


def attempt_each(name, port, targets):
    """The same for several targets at once, each with facts of its own; a list of answers."""
    return json.dumps([answer(*begun) for begun in [begin(name, port, target) for target in targets]])


def storm(programs, port, seconds):
    return passed.storm(attempt, programs, port, seconds)


commands = {"know": know, "attempt": attempt, "attempt_each": attempt_each, "storm": storm}
commands |= watching.commands | passed.commands


def main():
    print("ready", flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            print(commands[name](*arguments), flush=True)
        except OSError as error:
            print(errno.errorcode.get(error.errno, repr(error)), flush=True)


main()
