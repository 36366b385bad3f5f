//! Every variable of the server: name, default, what is accepted, and what it is for.

use daemon::settings::Variable;

/// All variables, in the order in which help shows them.
pub const VARIABLES: &[Variable] = &[
    Variable::secret(
        "DATABASE_URL",
        "postgres://user:password@host:port/database, in which @ / : ? # of user and password are written %40 %2F %3A %3F %23",
        "The database; overrides every POSTGRES_ variable but the TLS ones",
    ),
    Variable::plain("POSTGRES_HOST", "localhost", "a host name or address", "Host of the database"),
    Variable::plain("POSTGRES_PORT", "5432", "1 to 65535", "Port of the database"),
    Variable::plain("POSTGRES_DB", "postgres", "a database name", "The database to serve"),
    Variable::plain("POSTGRES_USER", "", "a role name", "Role to connect as; a reader role is all it needs"),
    Variable::secret("POSTGRES_PASSWORD", "any text", "Password of the role"),
    Variable::plain(
        "POSTGRES_SSLMODE",
        "",
        "disable, allow, prefer, require, verify-ca or verify-full",
        "TLS to the database; prefer on loopback and verify-full elsewhere unless given",
    ),
    Variable::plain(
        "POSTGRES_SSLROOTCERT",
        "",
        "path of a PEM file that can be read",
        "Certificate authority that verify-ca and verify-full trust",
    ),
    Variable::plain("POOL_SIZE", "10", "1 to 100", "Most connections to the database"),
    Variable::plain("POOL_TIMEOUT_MS", "5000", "1 to 600000", "Longest wait for a free connection, in milliseconds"),
    Variable::plain(
        "STATEMENT_TIMEOUT_MS",
        "30000",
        "1000 to 3600000",
        "Time that a statement has when the call names none, in milliseconds",
    ),
    Variable::plain(
        "MAX_STATEMENT_TIMEOUT_MS",
        "120000",
        "1000 to 3600000",
        "Most time that a call may ask for, in milliseconds",
    ),
    Variable::plain("MAX_ROWS", "10000", "1 to 1000000", "Most rows of one result"),
    Variable::plain(
        "MAX_PAGE_BYTES",
        "786432",
        "1024 to 1073741824",
        "Most bytes of one page unless the call asks for more",
    ),
    Variable::plain(
        "MAX_RESULT_BYTES",
        "16777216",
        "1024 to 1073741824",
        "Most bytes of one page, whatever the call asks for",
    ),
    Variable::plain("CATALOG_TTL_S", "300", "1 to 86400", "Age at which the cached catalog is read again, in seconds"),
    Variable::plain("TIMEZONE", "UTC", "a time zone that PostgreSQL knows", "Time zone of every session"),
    Variable::plain("WS_HOST", "0.0.0.0", "an IP address", "Address to listen on"),
    Variable::plain("WS_PORT", "9001", "0 to 65535 (0 picks a free one)", "Port to listen on"),
    Variable::secret(
        "WS_API_KEY",
        "comma list of name:key or key, each key at least 22 characters",
        "Keys that clients present; an entry without a name is called default",
    ),
    Variable::plain("WS_PUSH_REGISTRY", "true", "true or false", "Push the tool registry when a client connects"),
    Variable::plain(
        "WS_ALLOWED_ORIGINS",
        "",
        "comma list of origins, e.g. https://app.example",
        "Web origins that may connect; none unless given",
    ),
    Variable::plain(
        "WS_ALLOWED_HOSTS",
        "",
        "comma list of host names, or *",
        "Host names that requests may carry; loopback's when bound to loopback, else any, unless given",
    ),
    Variable::plain("METRICS_PUBLIC", "false", "true or false", "Serve /metrics without a key"),
    Variable::plain(
        "ALLOW_PRIVILEGED_ROLE",
        "false",
        "true or false",
        "Serve even as a superuser or a role that can write",
    ),
    Variable::plain("MAX_CONCURRENT_QUERIES", "16", "1 to 1000", "Statements that run at once"),
    Variable::plain("MAX_CONNECTIONS", "1000", "1 to 100000", "Client connections at once"),
    Variable::plain(
        "MAX_MESSAGE_BYTES",
        "1048576",
        "1024 to 16777216",
        "Longest message that a client may send, in bytes",
    ),
    Variable::plain(
        "SHUTDOWN_GRACE_MS",
        "10000",
        "0 to 600000",
        "Time that running calls have after SIGTERM, in milliseconds",
    ),
    daemon::log::FORMAT,
    daemon::log::LEVEL,
];
