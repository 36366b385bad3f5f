//! How messages travel. A session sees messages, never a transport.

mod handshake;
mod http;
mod in_flight;
mod incoming;
mod listener;
mod websocket;

pub use self::http::{Gate, router};
pub use handshake::Upgrade;
pub use in_flight::MAX_IN_FLIGHT;
pub use listener::{Listener, ListenerError};
