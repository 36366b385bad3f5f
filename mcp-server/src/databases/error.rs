//! Why there is no session with a database.

use std::error::Error;
use std::time::Duration;

use super::role::RoleReport;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// All sessions are busy and stayed so.
    #[error("all {size} connections to the database stayed busy for {} ms", .waited.as_millis())]
    Busy {
        /// Number of sessions.
        size: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// A new session couldn't be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Why a session couldn't be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network, the login or the set-up failed.
    #[error("the database can't be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The two sides can't agree on TLS, or a certificate isn't trusted.
    #[error("the TLS handshake with the database failed")]
    Tls(#[source] sqlx::Error),
    /// Nothing came back in time.
    #[error("the database did not answer within {} ms", .limit.as_millis())]
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The role could do harm, and nobody said that this is wanted.
    #[error("the database role is refused: {}", .0.refusals())]
    Refused(RoleReport),
    /// All connections that its host may have are in use.
    #[error("all {most} connections to the database's host stayed busy for {} ms", .waited.as_millis())]
    HostFull {
        /// How many there may be.
        most: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// It could not be reached just now, and isn't tried again for a moment.
    #[error("the database could not be reached a moment ago")]
    Resting {
        /// What can be done about what it was then.
        way_out: &'static str,
    },
}

impl From<sqlx::Error> for ConnectError {
    fn from(error: sqlx::Error) -> Self {
        let is_tls = match &error {
            sqlx::Error::Tls(_) => true,
            // What rustls finds wrong arrives as what went wrong while reading.
            sqlx::Error::Io(io) => io.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>),
            _ => false,
        };
        if is_tls { Self::Tls(error) } else { Self::Unreachable(error) }
    }
}

impl ConnectError {
    /// What whoever runs the server can do about it, in one sentence.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::Refused(_) => {
                "Use a role that can only SELECT, for which `mcp-server role-sql` prints the SQL, or set ALLOW_PRIVILEGED_ROLE=true \
                 to serve it all the same."
            }
            Self::TimedOut { .. } => "Check that PostgreSQL is up, then try again.",
            Self::HostFull { .. } => "Try again later, or raise MAX_SERVER_CONNECTIONS.",
            Self::Resting { way_out } => way_out,
            Self::Tls(_) => "Check POSTGRES_SSLMODE and POSTGRES_SSLROOTCERT.",
            Self::Unreachable(sqlx::Error::Database(cause)) => match cause.code().as_deref() {
                Some("28P01" | "28000") => "PostgreSQL refused the login: check POSTGRES_USER and POSTGRES_PASSWORD.",
                Some("3D000") => "PostgreSQL has no such database: check POSTGRES_DB.",
                Some("08P01") => {
                    "The connection was refused: if PgBouncer stands before the database, set POSTGRES_MODE=pooler."
                }
                _ => "PostgreSQL refused the connection; try again in a few seconds.",
            },
            Self::Unreachable(_) => "Check POSTGRES_HOST and POSTGRES_PORT, and that PostgreSQL is up.",
        }
    }
}
