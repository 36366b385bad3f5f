// What every client for Node.js here asks of the server: the counterpart of conversation.py. The answers are printed as
// the SDK gives them, in one JSON object, for the test that runs the client.
//
// In the environment: WS_API_KEY, the key; LONG_QUERY, a statement that runs until it is cancelled; NODE_PATH, where
// scripts/setup has put the packages.

const { createInterface } = require("node:readline");

const QUERY = "SELECT 1.10::numeric AS a, 9223372036854775807 AS b";
const PUSH = "notifications/tools/list_changed";
const NEWEST = "2026-07-28";

const headers = { "X-API-Key": process.env.WS_API_KEY };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Waits for a line from the test. */
async function told() {
  if ((await lines.next()).done) throw new Error("the test has gone away");
}

/** The whole conversation; `callTool(params, options)` hides what differs between the generations. */
async function converse(client, transport, callTool) {
  const inbox = new Inbox(client);
  await client.connect(transport);
  const protocolVersion = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
  const capabilities = client.getServerCapabilities();
  const older = protocolVersion < NEWEST;
  const seen = { protocolVersion, server: client.getServerVersion().name };
  Object.assign(seen, await tools(client, callTool), await resources(client, capabilities, older));
  if (capabilities.prompts) Object.assign(seen, await prompts(client));
  if (capabilities.completions) Object.assign(seen, await completions(client));
  if (older) {
    // The newest revision has none of these.
    if (capabilities.logging) await client.setLoggingLevel("warning");
    await client.ping();
    await inbox.pushed;
  }
  await cancel(callTool);
  const after = await callTool({ name: "run_sql", arguments: { query: "SELECT 1 AS one" } });
  seen.rowsAfterCancel = after.structuredContent.rows;
  await client.close();
  return { ...seen, notifications: inbox.notifications, errors: inbox.errors };
}

/** What the server sends unasked, and what the SDK finds wrong with it. */
class Inbox {
  constructor(client) {
    this.notifications = [];
    this.errors = [];
    client.onerror = (error) => this.errors.push(String(error));
    this.pushed = new Promise((resolve) => {
      client.fallbackNotificationHandler = async ({ method }) => {
        this.notifications.push(method);
        if (method === PUSH) resolve();
      };
    });
  }
}

async function tools(client, callTool) {
  const listed = await client.listTools();
  const result = await callTool({ name: "run_sql", arguments: { query: QUERY } });
  const refused = await callTool({ name: "run_sql", arguments: { query: "DROP TABLE users" } });
  const pages = [];
  const args = { query: "SELECT id FROM users ORDER BY id", maxRows: 2 };
  for (let number = 0; number < 2; number++) {
    const page = (await callTool({ name: "run_sql", arguments: args })).structuredContent;
    pages.push(page.rows.map((row) => row.id));
    args.cursor = page.nextCursor;
  }
  return { tools: listed.tools.map((tool) => tool.name), result, refused, pages };
}

async function resources(client, capabilities, older) {
  const listed = (await client.listResources()).resources.map((resource) => resource.uri);
  const uri = listed.find((resource) => resource.endsWith("/catalog"));
  const { contents } = await client.readResource({ uri });
  const { resourceTemplates } = await client.listResourceTemplates();
  if (capabilities.resources.subscribe && older) {
    await client.subscribeResource({ uri });
    await client.unsubscribeResource({ uri });
  }
  return { resources: listed, catalog: contents[0], templates: resourceTemplates.map((template) => template.uriTemplate) };
}

/** Lists them, and gets the first with the name of a table for whatever it must be told. */
async function prompts(client) {
  const listed = (await client.listPrompts()).prompts;
  const wanted = (listed[0].arguments ?? []).filter((argument) => argument.required);
  const args = Object.fromEntries(wanted.map((argument) => [argument.name, "users"]));
  const prompt = await client.getPrompt({ name: listed[0].name, arguments: args });
  return { prompts: listed.map((listedPrompt) => listedPrompt.name), prompt: prompt.messages };
}

async function completions(client) {
  const { resourceTemplates } = await client.listResourceTemplates();
  const ref = { type: "ref/resource", uri: resourceTemplates[0].uriTemplate };
  const { completion } = await client.complete({ ref, argument: { name: "database", value: "" } });
  return { completed: completion.values };
}

/** Makes a call and takes it back while it runs. */
async function cancel(callTool) {
  const abort = new AbortController();
  const params = { name: "run_sql", arguments: { query: process.env.LONG_QUERY, timeoutMs: 120_000 } };
  const call = callTool(params, { signal: abort.signal, timeout: 120_000 });
  const ended = call.then(() => "answered", () => "cancelled");
  await told();
  abort.abort("the test says so");
  await told();
  if ((await ended) !== "cancelled") throw new Error("the call was answered all the same");
}

function run(conversation) {
  conversation.then(
    (seen) => {
      console.log(JSON.stringify(seen));
      process.exit(0);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

module.exports = { converse, headers, run };
