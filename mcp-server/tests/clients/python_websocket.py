"""A client that nobody here wrote: the Python MCP SDK (mcp 1.30) over its WebSocket transport.

Lists the tools and calls run_sql; prints one JSON object with what came, for the test that runs this to compare.
Usage: python_websocket.py ws://HOST:PORT/mcp, with the key in WS_API_KEY.
"""

import asyncio
import json
import os
import sys
import warnings

import mcp.client.websocket as transport
from mcp import ClientSession
from websockets.asyncio.client import ClientConnection, connect

QUERY = "SELECT 1.10::numeric AS a, 9223372036854775807 AS b"

frames = []


class RecordingConnection(ClientConnection):
    """Keeps every frame as it came: the SDK turns 1.10 into a float before anybody sees it."""

    async def recv(self, *args, **kwargs):
        frame = await super().recv(*args, **kwargs)
        frames.append(frame)
        return frame


def connect_with_key(url, **options):
    """The SDK's transport has no option for headers, so the key goes in here."""
    headers = {"X-API-Key": os.environ["WS_API_KEY"]}
    return connect(url, additional_headers=headers, create_connection=RecordingConnection, **options)


async def main(url):
    transport.ws_connect = connect_with_key
    async with transport.websocket_client(url) as (read, write), ClientSession(read, write) as session:
        started = await session.initialize()
        listed = await session.list_tools()
        result = await session.call_tool("run_sql", {"query": QUERY})
        refused = await session.call_tool("run_sql", {"query": "DROP TABLE users"})
    answers = [frame for frame in frames if "structuredContent" in frame and "9223372036854775807" in frame]
    print(
        json.dumps(
            {
                "protocol_version": started.protocolVersion,
                "server": started.serverInfo.name,
                "first_frame_method": json.loads(frames[0]).get("method"),
                "tools": [tool.name for tool in listed.tools],
                "is_error": result.isError,
                "structured": result.structuredContent,
                "text": result.content[0].text if result.content else None,
                "frame": answers[0] if answers else None,
                "refused_is_error": refused.isError,
                "refused": refused.structuredContent,
            }
        )
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    asyncio.run(asyncio.wait_for(main(sys.argv[1]), timeout=60))
