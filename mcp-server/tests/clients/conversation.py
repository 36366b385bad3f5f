"""What every Python client here asks of the server. The answers are kept as they stand in the SDK's own types, under the
names that they have in the protocol, and printed as one JSON object for the test that runs the client.

In the environment: WS_API_KEY, the key; LONG_QUERY, a statement that runs until it is cancelled.
"""

import asyncio
import json
import os
import sys

QUERY = "SELECT 1.10::numeric AS a, 9223372036854775807 AS b"
PUSH = "notifications/tools/list_changed"
NEWEST = "2026-07-28"


def key():
    return {"X-API-Key": os.environ["WS_API_KEY"]}


def plain(answer):
    """Either generation's types, as the JSON that the protocol has for them."""
    return answer.model_dump(by_alias=True, mode="json", exclude_none=True)


class Inbox:
    """What the server sends unasked: give `take` to the SDK as its message handler."""

    def __init__(self):
        self.notifications, self.errors, self.pushed = [], [], asyncio.Event()

    async def take(self, message):
        if isinstance(message, Exception):
            self.errors.append(repr(message))
            return
        method = getattr(getattr(message, "root", message), "method", None)
        self.notifications.append(method)
        if method == PUSH:
            self.pushed.set()


async def converse(client, started, cancel, inbox):
    """The whole conversation; `started` is what the server said of itself, `cancel` makes a call and takes it back."""
    seen = {"protocolVersion": started["protocolVersion"], "server": started["serverInfo"]["name"]}
    seen |= await tools(client)
    seen |= await resources(client, started)
    if "prompts" in started["capabilities"]:
        seen |= await prompts(client)
    if "completions" in started["capabilities"]:
        seen |= await completions(client)
    if started["protocolVersion"] < NEWEST:
        # The newest revision has neither of them.
        await client.send_ping()
        await asyncio.wait_for(inbox.pushed.wait(), timeout=60)
    await cancel({"query": os.environ["LONG_QUERY"], "timeoutMs": 120_000})
    after = plain(await client.call_tool("run_sql", {"query": "SELECT 1 AS one"}))
    seen["rowsAfterCancel"] = after["structuredContent"]["rows"]
    return seen | {"notifications": inbox.notifications, "errors": inbox.errors}


async def tools(client):
    listed = plain(await client.list_tools())
    result = plain(await client.call_tool("run_sql", {"query": QUERY}))
    refused = plain(await client.call_tool("run_sql", {"query": "DROP TABLE users"}))
    pages, arguments = [], {"query": "SELECT id FROM users ORDER BY id", "maxRows": 2}
    for _ in range(2):
        page = plain(await client.call_tool("run_sql", arguments))["structuredContent"]
        pages.append([row["id"] for row in page["rows"]])
        arguments["cursor"] = page["nextCursor"]
    return {"tools": [tool["name"] for tool in listed["tools"]], "result": result, "refused": refused, "pages": pages}


async def resources(client, started):
    listed = plain(await client.list_resources())["resources"]
    catalog = next(resource["uri"] for resource in listed if resource["uri"].endswith("/catalog"))
    contents = plain(await client.read_resource(catalog))["contents"]
    templates = plain(await client.list_resource_templates())["resourceTemplates"]
    if started["capabilities"]["resources"].get("subscribe") and started["protocolVersion"] < NEWEST:
        await client.subscribe_resource(catalog)
        await client.unsubscribe_resource(catalog)
    return {
        "resources": [resource["uri"] for resource in listed],
        "catalog": contents[0],
        "templates": [template["uriTemplate"] for template in templates],
    }


async def prompts(client):
    """Lists them, and gets the first with the name of a table for whatever it must be told."""
    listed = plain(await client.list_prompts())["prompts"]
    wanted = [argument["name"] for argument in listed[0].get("arguments", []) if argument.get("required")]
    prompt = plain(await client.get_prompt(listed[0]["name"], {name: "users" for name in wanted}))
    return {"prompts": [prompt["name"] for prompt in listed], "prompt": prompt["messages"]}


async def completions(client):
    template = plain(await client.list_resource_templates())["resourceTemplates"][0]["uriTemplate"]
    reference = client_types().ResourceTemplateReference(type="ref/resource", uri=template)
    completed = plain(await client.complete(reference, {"name": "database", "value": ""}))
    return {"completed": completed["completion"]["values"]}


def client_types():
    """The module of the protocol's types has moved between the generations."""
    try:
        import mcp_types as types
    except ImportError:
        from mcp import types
    return types


async def told():
    """Waits for a line from the test."""
    assert await asyncio.to_thread(sys.stdin.readline), "the test has gone away"


def run(conversation):
    print(json.dumps(asyncio.run(asyncio.wait_for(conversation, timeout=120))))
