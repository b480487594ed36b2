#!/usr/bin/env python3
"""A way to a server that takes longer: measure/slow_proxy.py PORT HOST:PORT SECONDS

Passes TCP connections to PORT on to HOST:PORT, and what either side sends after half of SECONDS. Throughput is not limited. For a
lab whose kernel has no netem: send a node's traffic to the server here, as PGK_NODE_SLOW does (measure/incidents.sh)."""

import asyncio
import sys

PORT, (HOST, _, HOST_PORT), SECONDS = int(sys.argv[1]), sys.argv[2].rpartition(":"), float(sys.argv[3])


async def pump(reader, writer):
    """Everything from reader to writer, each piece SECONDS / 2 after it came."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue()

    async def read():
        piece = b"x"
        while piece:
            piece = await reader.read(1 << 16)
            await pieces.put((loop.time() + SECONDS / 2, piece))

    reading = asyncio.create_task(read())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        reading.cancel()
        writer.close()


async def serve(reader, writer):
    try:
        await asyncio.sleep(SECONDS)  # the handshake's round trip
        there = await asyncio.open_connection(HOST, int(HOST_PORT))
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)


async def main():
    async with await asyncio.start_server(serve, port=PORT) as server:
        await server.serve_forever()


asyncio.run(main())
