//! How messages travel. A session sees messages, never a transport.

mod calls;
mod connection;
mod gate;
mod handshake;
mod http;
mod in_flight;
mod incoming;
mod outgoing;
pub mod stdio;
mod websocket;

pub use self::gate::Gate;
pub use self::http::router;
pub use in_flight::MAX_IN_FLIGHT;
