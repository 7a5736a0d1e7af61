"""Many connections at once."""

import asyncio, errno, os, resource, select, socket, threading, time

from end import SLOWNESS, name_of, pattern
from table import MANY, case


def tally(outcomes):
    counts = {}
    for outcome in outcomes:
        counts[outcome] = counts.get(outcome, 0) + 1
    return str(dict(sorted(counts.items(), key=str)))


def connect_at_once(t, count, patience=20.0):
    """So many connects without waiting; the sockets, and what became of each."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    sockets = [t.socket() for _ in range(count)]
    poll = select.poll()
    outcomes = {}
    for s in sockets:
        s.setblocking(False)
        s.connect_ex(t.address())
        poll.register(s, select.POLLOUT)
    deadline = time.monotonic() + patience * SLOWNESS
    while len(outcomes) < count and time.monotonic() < deadline:
        for descriptor, _ in poll.poll(500):
            s = next(s for s in sockets if s.fileno() == descriptor)
            code = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            outcomes[descriptor] = errno.errorcode.get(code, "connected") if code else "connected"
            poll.unregister(descriptor)
    unknown = count - len(outcomes)
    t.see("connect", tally(list(outcomes.values()) + ["no answer"] * unknown))
    return [s for s in sockets if outcomes.get(s.fileno()) == "connected"]


def accept_all(t, backlog, count):
    """Accepts so many, each of which is greeted and held."""
    listener = t.listener(backlog=backlog)
    t.tell()
    listener.settimeout(15 * SLOWNESS)
    try:
        for number in range(count):
            s, _ = listener.accept()
            t.keep(s).sendall(b"%04d" % number)
    except TimeoutError:
        pass
    t.hear()


def greetings(t, sockets):
    got = []
    for s in sockets:
        s.settimeout(5 * SLOWNESS)
        try:
            got.append(s.recv(4))
        except OSError as error:
            got.append(name_of(error))
    t.see("greetings", len({g for g in got if isinstance(g, bytes) and len(g) == 4}))
    t.see("callers' ports", len({s.getsockname()[1] for s in sockets}))


def held(count, backlog):
    class Held:
        def server(t):
            accept_all(t, backlog, count)

        def client(t):
            t.hear()
            greetings(t, connect_at_once(t, count))
            t.tell()

    return Held


def named(name, ends):
    ends.__name__ = ends.__qualname__ = name
    return ends


case(MANY, "100 at once, which stay open", limit=60, alone=True)(named("Hundred", held(100, 128)))
case(MANY, "200 at once, which stay open", limit=60, alone=True)(named("TwoHundred", held(200, 256)))
case(MANY, "500 at once, which stay open", limit=60, alone=True)(named("FiveHundred", held(500, 512)))


@case(MANY, "60 at once to a listener with backlog 16 that accepts after eight seconds", limit=90, alone=True)
class Busy:
    def server(t):
        listener = t.listener(backlog=16)
        t.tell()
        t.hear()
        time.sleep(8)
        listener.settimeout(20 * SLOWNESS)
        for _ in range(60):
            t.keep(listener.accept()[0])
        t.hear()

    def client(t):
        t.hear()
        t.tell()
        connect_at_once(t, 60, patience=25)
        t.tell()


@case(MANY, "300 at once to a listener with backlog 64", limit=90, alone=True)
class SmallBacklog:
    def server(t):
        accept_all(t, 64, 300)

    def client(t):
        t.hear()
        connect_at_once(t, 300, patience=25)
        t.tell()


@case(MANY, "500 at once, all of which are accepted before the first is greeted", limit=60, alone=True)
class AcceptedBeforeGreeted:
    def server(t):
        listener = t.listener(backlog=512)
        t.tell()
        listener.settimeout(15 * SLOWNESS)
        for number, s in enumerate([t.keep(listener.accept()[0]) for _ in range(500)]):
            s.sendall(b"%04d" % number)
        t.hear()

    def client(t):
        t.hear()
        greetings(t, connect_at_once(t, 500))
        t.tell()


@case(MANY, "500 at once to a listener with backlog 64, three times", limit=180, alone=True)
class FiveHundredSmallBacklog:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        listener.settimeout(20 * SLOWNESS)
        for _ in range(3):
            accepted = [listener.accept()[0] for _ in range(500)]
            t.hear()
            for s in accepted:
                s.close()
            t.tell()

    def client(t):
        t.hear()
        for _ in range(3):
            for s in connect_at_once(t, 500):
                s.close()
            t.tell()
            t.hear()


@case(MANY, "150 by asyncio, each echoed 1,000 bytes while all are open", limit=60, alone=True)
class Asyncio:
    def server(t):
        async def serve():
            async def echo(reader, writer):
                while data := await reader.read(4096):
                    writer.write(data)
                writer.close()

            server = await asyncio.start_server(echo, "0.0.0.0", t.port, backlog=200)
            t.tell()
            await asyncio.get_running_loop().run_in_executor(None, t.hear)
            server.close()

        asyncio.run(serve())

    def client(t):
        async def call(gate):
            reader, writer = await asyncio.open_connection(*t.address())
            gate.append(1)
            while len(gate) < 150:
                await asyncio.sleep(0.01)
            writer.write(pattern(1000))
            data = await reader.readexactly(1000)
            writer.close()
            return data == pattern(1000)

        async def all_of_them():
            gate = []
            tasks = [asyncio.wait_for(call(gate), 30) for _ in range(150)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            return [name_of(r) if isinstance(r, OSError) else str(r) or type(r).__name__ for r in results]

        t.hear()
        t.see("outcomes", tally(asyncio.run(all_of_them())))
        t.tell()


@case(MANY, "400 one after the other, each with a byte each way", limit=60, alone=True)
class Sequence:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        for _ in range(400):
            s, _ = listener.accept()
            s.sendall(s.recv(1))
            s.close()

    def client(t):
        t.hear()
        outcomes = []
        for _ in range(400):
            s = socket.socket()
            try:
                s.connect(t.address())
                s.sendall(b"a")
                outcomes.append(str(s.recv(1) + s.recv(1)))
            except OSError as error:
                outcomes.append(name_of(error))
            s.close()
        t.see("outcomes", tally(outcomes))


@case(MANY, "20 transfers of 1 MiB at once, both ways", limit=60, alone=True)
class Transfers:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        threads = []
        for _ in range(20):
            s, _ = listener.accept()
            threads.append(threading.Thread(target=echo_transfer, args=[s]))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def client(t):
        t.hear()
        results = []

        def call():
            s = socket.socket()
            s.connect(t.address())
            results.append(echo_transfer(s))

        threads = [threading.Thread(target=call) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        t.see("whole", tally(results))


def echo_transfer(s):
    data = pattern(1 << 20)
    writer = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    writer.start()
    got = b""
    while part := s.recv(1 << 18):
        got += part
    writer.join()
    s.close()
    return str(got == data)


@case(MANY, "40 that connect and reset at once, while one transfers 4 MiB", limit=60, alone=True)
class ResetsBeside:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        first, _ = listener.accept()

        def accept():
            while True:
                s, _ = listener.accept()
                s.close()

        threading.Thread(target=accept, daemon=True).start()
        t.drain("recv", first)
        t.hear()

    def client(t):
        first = t.connected()
        writer = threading.Thread(target=lambda: (first.sendall(pattern(4 << 20)), first.close()))
        writer.start()
        for _ in range(40):
            s = socket.socket()
            s.connect(t.address())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        writer.join()
        t.tell()
