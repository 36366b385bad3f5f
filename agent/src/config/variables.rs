//! Every variable of the agent: name, default, what is accepted, and what it is for.

use daemon::settings::Variable;

/// All variables, in the order in which help shows them.
pub const VARIABLES: &[Variable] = &[
    Variable::plain("HTTP_HOST", "0.0.0.0", "an IP address, e.g. 0.0.0.0 or 127.0.0.1", "Address to listen on"),
    Variable::plain("HTTP_PORT", "8080", "0 to 65535 (0 picks a free one)", "Port to listen on"),
    Variable::plain(
        "HTTP_TLS_CERT",
        "",
        "path of a PEM file: the certificate, then those that lead to its authority; wants HTTP_TLS_KEY",
        "Certificate for TLS on the port",
    ),
    Variable::plain("HTTP_TLS_KEY", "", "path of a PEM file; wants HTTP_TLS_CERT", "Private key of the certificate"),
    Variable::plain(
        "HTTP_ALLOWED_HOSTS",
        "",
        "comma list of host names",
        "Host names answered beside loopback's while there are no keys",
    ),
    Variable::plain(
        "CORS_ALLOW_ORIGINS",
        "",
        "comma list of origins such as https://example.org, without a path",
        "Origins of web pages that may call",
    ),
    Variable::secret(
        "AGENT_API_KEY",
        "comma list of name:key or key, each key at least 22 characters",
        "Keys that callers need; none needed unless given",
    ),
    daemon::address::TRUSTED_PROXIES,
    Variable::plain("METRICS_PUBLIC", "false", "true or false", "Serve /metrics to everybody"),
    daemon::rate_limit::RATE_LIMIT_PER_MINUTE,
    Variable::plain("MAX_CONNECTIONS", "1000", "1 to 100000", "HTTP connections at once"),
    Variable::plain("MAX_MESSAGE_BYTES", "1048576", "1024 to 16777216", "Longest request body, in bytes"),
    Variable::plain("REQUEST_TIMEOUT_MS", "180000", "1000 to 3600000", "Time for one question, in milliseconds"),
    Variable::plain(
        "SHUTDOWN_GRACE_MS",
        "10000",
        "0 to 600000",
        "Time that requests under way have after SIGTERM, in milliseconds",
    ),
    Variable::plain(
        "WS_URL",
        "ws://localhost:9001/mcp",
        "one address such as ws://localhost:9001/mcp or wss://host/mcp, without user or password",
        "Where mcp-server is",
    ),
    Variable::secret(
        "WS_API_KEY",
        "comma list of name:key or key, each key at least 22 characters",
        "Key for mcp-server: the first entry's",
    ),
    Variable::plain(
        "MCP_CALL_TIMEOUT_MS",
        "40000",
        "2000 to 3600000",
        "Time for one call to mcp-server, in milliseconds",
    ),
    Variable::plain("MAX_RESULT_BYTES", "16777216", "1024 to 1073741824", "Most bytes of one result"),
    Variable::plain(
        "REQUIRE_SUBJECT",
        "false",
        "true or false",
        "Don't run where mcp-server won't be told which caller asks (may_act_for in POLICY_FILE)",
    ),
    Variable::plain("CATALOG_TTL_S", "300", "1 to 86400", "Age at which a catalog is read again, in seconds"),
    Variable::plain(
        "TRANSLATOR",
        "auto",
        "auto, llm or offline",
        "What turns questions into SQL; auto is llm where a key or base URL is given",
    ),
    Variable::plain("MAX_ATTEMPTS", "3", "1 to 10", "Statements tried for one question"),
    Variable::plain("MAX_ROWS", "10000", "1 to 1000000", "Most rows that a question may ask for"),
    Variable::secret(
        "LLM_API_KEY",
        "visible ASCII characters",
        "Key of the language model's endpoint; without one no Authorization is sent",
    ),
    Variable::plain(
        "LLM_BASE_URL",
        "https://api.openai.com/v1",
        "an address such as https://api.openai.com/v1, without user or password",
        "OpenAI-compatible endpoint",
    ),
    Variable::plain("LLM_MODEL", "gpt-5-mini", "a model's name", "Model to ask for"),
    Variable::plain("LLM_TIMEOUT_MS", "60000", "1000 to 3600000", "Time for one answer of the model, in milliseconds"),
    Variable::plain("LLM_CONTEXT_TOKENS", "8000", "200 to 1000000", "Tokens that the schema may take"),
    daemon::log::FORMAT,
    daemon::log::LEVEL,
];
