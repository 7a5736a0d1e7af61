"""asyncio_echo.py serve PORT | hold ADDRESS PORT CONNECTIONS ROUNDS: an echo server, and a client that opens so many
connections at once, holds them all, and has each echo 1,000 bytes so many times; says in JSON what came."""
import asyncio
import collections
import errno
import json
import random
import resource
import sys
import time


async def serve(port):
    async def echo(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError as error:
            print(error, flush=True)
        writer.close()

    server = await asyncio.start_server(echo, "0.0.0.0", port, backlog=1024)
    await server.serve_forever()


async def hold(address, port, connections, rounds):
    seen = collections.Counter()
    begun = time.monotonic()

    async def connect():
        try:
            return await asyncio.open_connection(address, port)
        except OSError as error:
            seen[f"connect: {errno.errorcode.get(error.errno, error)}"] += 1

    held = [pair for pair in await asyncio.gather(*(connect() for _ in range(connections))) if pair]
    connected = time.monotonic() - begun
    seen["connected"] = len(held)

    async def talk(number, reader, writer):
        dice = random.Random(number)
        try:
            for _ in range(rounds):
                sent = dice.randbytes(1000)
                writer.write(sent)
                seen["equal" if await reader.readexactly(1000) == sent else "unequal"] += 1
            writer.write_eof()
            seen["ended" if await reader.read() == b"" else "more than was sent"] += 1
            writer.close()
            await writer.wait_closed()
        except (OSError, EOFError) as error:
            seen[repr(error)] += 1

    begun = time.monotonic()
    await asyncio.gather(*(talk(number, *pair) for number, pair in enumerate(held)))
    print(json.dumps({"seen": seen, "connected": connected, "rate": connections * rounds / (time.monotonic() - begun)}))


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, limit), limit))
if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(hold(sys.argv[2], *map(int, sys.argv[3:])))
