//! Where the two tiers meet: paths, headers, the subprotocol, `_meta` keys and the sizes both ends agree on.

/// Path of the MCP endpoint on the server.
pub const MCP_PATH: &str = "/mcp";

/// Port that mcp-server listens on unless `WS_PORT` says otherwise.
pub const DEFAULT_WS_PORT: u16 = 9001;

/// Port that the agent listens on unless `HTTP_PORT` says otherwise.
pub const DEFAULT_HTTP_PORT: u16 = 8080;

/// Header that carries an API key on both tiers.
pub const API_KEY_HEADER: &str = "x-api-key";

/// WebSocket subprotocol, echoed by the server only when the client offers it.
pub const SUBPROTOCOL: &str = "mcp";

/// Shortest API key that either tier accepts, in characters.
pub const MIN_KEY_CHARS: usize = 22;

/// Longest name of a subject ([`meta::SUBJECT`]) that the server takes, in characters.
pub const MAX_SUBJECT_CHARS: usize = 128;

/// Bytes of one page of results, envelope and text content included, unless the call asks for more.
/// Several public clients close the connection on a message over 1 MiB.
pub const DEFAULT_PAGE_BYTES: usize = 768 * 1024;

/// Keys that we put into MCP's `_meta` objects.
pub mod meta {
    /// In a call: most bytes that one page of the answer may have (integer).
    pub const MAX_PAGE_BYTES: &str = "pgmcp/maxPageBytes";
    /// In a call: send `structuredContent` alone, without its copy as text (bool).
    pub const STRUCTURED_ONLY: &str = "pgmcp/structuredOnly";
    /// In a call: on whose behalf it is made, where the key may act for others (string).
    pub const SUBJECT: &str = "pgmcp/subject";
    /// In the registry push and in `initialize`: whether the key may act for others (bool).
    pub const MAY_ACT_FOR: &str = "pgmcp/mayActFor";
    /// In a call: the trace that it belongs to (W3C Trace Context).
    pub const TRACEPARENT: &str = "traceparent";
    /// In the registry push and in `initialize`: name of the server program.
    pub const SERVER: &str = "pgmcp/server";
    /// In the registry push and in `initialize`: version of the server program.
    pub const VERSION: &str = "pgmcp/version";
    /// In the registry push and in `initialize`: calls that may be in flight at once on this connection (integer).
    pub const MAX_IN_FLIGHT: &str = "pgmcp/maxInFlight";
}

/// URI of the machine-readable catalog of one database (a resource; see [`crate::catalog::CatalogPage`]).
///
/// ```
/// assert_eq!(shared_protocol::endpoint::catalog_uri("shop", None), "postgres://shop/catalog");
/// assert_eq!(shared_protocol::endpoint::catalog_uri("shop", Some("ab12-40")), "postgres://shop/catalog?cursor=ab12-40");
/// ```
pub fn catalog_uri(database: &str, cursor: Option<&str>) -> String {
    match cursor {
        Some(cursor) => format!("postgres://{database}/catalog?cursor={cursor}"),
        None => format!("postgres://{database}/catalog"),
    }
}
