//! How messages travel. A session sees messages, never a transport.

mod calls;
mod connection;
mod directory;
mod gate;
mod handshake;
mod http;
mod in_flight;
mod incoming;
mod legacy_sse;
mod outgoing;
mod refusal;
mod request_body;
pub mod stdio;
mod streamable_http;
mod websocket;

pub use self::gate::Gate;
pub use self::http::router;
