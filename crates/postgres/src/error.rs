//! What goes wrong with a database.

use std::{error, fmt, time::Duration};

use tokio_postgres::error::SqlState;

/// The database cannot be used, or refused. No message has a password in it.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    /// The address cannot be read.
    Address(tokio_postgres::Error),
    Schema(String),
    /// Somebody newer made the tables.
    Newer {
        found: i32,
        known: i32,
    },
    /// The tables are missing, and this role may not make them.
    MayNotCreate(tokio_postgres::Error),
    Postgres(tokio_postgres::Error),
    Silent(Duration),
    /// The platform's certificates cannot be read.
    Tls(rustls::Error),
}

impl Error {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self(kind)
    }

    /// Whether the same call may succeed later: the database is away, or gave up one of two that stood in each other's way.
    pub fn is_transient(&self) -> bool {
        let error = match &self.0 {
            Kind::Silent(_) => return true,
            Kind::Postgres(error) => error,
            _ => return false,
        };
        match error.code() {
            Some(code) => {
                // 08: connection. 40: rolled back (deadlock, serialization). 53: out of something. 57P: shut down, or starting.
                let class = code.code().get(..2).unwrap_or_default();
                matches!(class, "08" | "40" | "53")
                    || code.code().starts_with("57P")
                    || [
                        SqlState::QUERY_CANCELED,
                        SqlState::LOCK_NOT_AVAILABLE,
                        SqlState::READ_ONLY_SQL_TRANSACTION,
                    ]
                    .contains(code)
            }
            // No answer of the server's: the connection. What the client itself cannot encode or decode stays wrong.
            None => error.is_closed() || source_is_io(error),
        }
    }

    /// Whether the connection can be used again.
    pub(crate) fn breaks_connection(&self) -> bool {
        match &self.0 {
            Kind::Silent(_) => true,
            // A server that may only read was the one to write to before another took its place.
            Kind::Postgres(error) => error.code().is_none_or(|code| {
                code.code().starts_with("57P") || *code == SqlState::READ_ONLY_SQL_TRANSACTION
            }),
            _ => false,
        }
    }
}

/// A connection that could not be made, or broke, has an I/O error among its sources.
fn source_is_io(error: &tokio_postgres::Error) -> bool {
    let mut next: Option<&(dyn error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<std::io::Error>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(Kind::Postgres(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Address(_) => {
                f.write_str("the address of the database cannot be read: postgres://USER:PASSWORD@HOST:PORT/DATABASE")
            }
            Kind::Schema(name) => write!(f, "{name:?} is no name of a schema: a-z, 0-9 and _, up to 48, no digit first"),
            Kind::Newer { found, known } => {
                write!(f, "a newer version made the tables: they are at {found}, and this program knows {known}")
            }
            Kind::MayNotCreate(_) => f.write_str(
                "the tables are missing, and this role may not make them: open the store once with a role that may",
            ),
            Kind::Postgres(_) => f.write_str("the database refused, or could not be reached"),
            Kind::Tls(_) => f.write_str("the connection cannot be encrypted"),
            Kind::Silent(limit) => write!(f, "the database did not answer within {limit:?}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.0 {
            Kind::Address(error) | Kind::MayNotCreate(error) | Kind::Postgres(error) => Some(error),
            Kind::Tls(error) => Some(error),
            Kind::Schema(_) | Kind::Newer { .. } | Kind::Silent(_) => None,
        }
    }
}
