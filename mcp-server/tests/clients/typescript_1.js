// The first generation of the TypeScript SDK (@modelcontextprotocol/sdk 1.32) over WebSocket.
// Usage: typescript_1.js ws://HOST:PORT/mcp; conversation.js says what is printed.

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { WebSocketClientTransport } = require("@modelcontextprotocol/sdk/client/websocket.js");
const { CallToolResultSchema } = require("@modelcontextprotocol/sdk/types.js");
const WebSocket = require("ws");

const { converse, headers, run } = require("./conversation.js");

// The SDK's transport has no option for headers, and neither has the WebSocket of Node.js.
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers });
  }
};

const client = new Client({ name: "typescript-sdk-1", version: "1" });
const transport = new WebSocketClientTransport(new URL(process.argv[2]));
// Set by the SDK once the revision is agreed on.
transport.setProtocolVersion = (version) => (transport.protocolVersion = version);
run(converse(client, transport, (params, options) => client.callTool(params, CallToolResultSchema, options)));
