// The second generation of the TypeScript SDK (@modelcontextprotocol/client 2.4) over Streamable HTTP.
// Usage: typescript_2.js http://HOST:PORT/mcp legacy|auto: by the handshake of the older revisions, or in the newest
// where the server has it; conversation.js says what is printed.

const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const { converse, headers, run } = require("./conversation.js");

const [url, mode] = process.argv.slice(2);
const client = new Client({ name: "typescript-sdk-2", version: "1" }, { versionNegotiation: { mode } });
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
run(converse(client, transport, (params, options) => client.callTool(params, options)));
