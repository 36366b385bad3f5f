"""The first generation of the Python MCP SDK (mcp 1.30) over WebSocket, HTTP+SSE or stdio.

Usage: python_1.py ws://HOST:PORT/mcp | http://HOST:PORT/sse | PROGRAM ARGUMENT…; conversation.py says what is printed.
"""

import asyncio
import os
import sys
import warnings
from contextlib import asynccontextmanager

import mcp.client.websocket as websocket
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.sse import sse_client
from websockets.asyncio.client import connect

from conversation import Inbox, converse, key, plain, run, told


def connect_with_key(url, **options):
    """The SDK's WebSocket transport has no option for headers, so the key goes in here."""
    return connect(url, additional_headers=key(), **options)


@asynccontextmanager
async def transport(target):
    if target[0].startswith("ws"):
        websocket.ws_connect = connect_with_key
        client = websocket.websocket_client(target[0])
    elif target[0].startswith("http"):
        client = sse_client(target[0], headers=key())
    else:
        # The server's log is not the client's.
        log = open(os.devnull, "w")
        parameters = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
        client = stdio_client(parameters, errlog=log)
    async with client as streams:
        yield streams


async def main(target):
    inbox = Inbox()
    async with transport(target) as (read, write), ClientSession(read, write, message_handler=inbox.take) as session:
        started = plain(await session.initialize())
        if "logging" in started["capabilities"]:
            await session.set_logging_level("warning")

        async def cancel(arguments):
            # A call that is dropped here goes on at the server: this generation leaves it to us to say so.
            request = session._request_id
            call = asyncio.create_task(session.call_tool("run_sql", arguments))
            await told()
            params = types.CancelledNotificationParams(requestId=request, reason="the test says so")
            await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            await told()
            call.cancel()

        return await converse(session, started, cancel, inbox)


if __name__ == "__main__":
    # The SDK says of its own WebSocket transport that it won't stay.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    run(main(sys.argv[1:]))
