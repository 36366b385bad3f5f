"""The second generation of the Python MCP SDK (mcp 2.3) over Streamable HTTP.

Usage: python_2.py http://HOST:PORT/mcp legacy|auto: by the handshake of the older revisions, or in the newest where the
server has it; conversation.py says what is printed.
"""

import asyncio
import sys
import warnings

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPDeprecationWarning

from conversation import NEWEST, Inbox, converse, key, plain, run, told


async def main(url, mode):
    inbox = Inbox()
    async with httpx2.AsyncClient(headers=key(), timeout=60) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, message_handler=inbox.take) as client:
            started = {
                "protocolVersion": client.protocol_version,
                "capabilities": plain(client.server_capabilities),
                "serverInfo": plain(client.server_info),
            }
            if "logging" in started["capabilities"] and client.protocol_version < NEWEST:
                await client.set_logging_level("warning")

            async def cancel(arguments):
                call = asyncio.create_task(client.call_tool("run_sql", arguments))
                await told()
                call.cancel()
                await told()

            return await converse(client, started, cancel, inbox)


if __name__ == "__main__":
    # The SDK says of what the newest revision has left out that it is old.
    warnings.filterwarnings("ignore", category=MCPDeprecationWarning)
    run(main(*sys.argv[1:]))
