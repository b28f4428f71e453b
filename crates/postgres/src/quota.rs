//! A shared quota in a database.

use std::{sync::Arc, time::Duration};

use outbound::quota_store::{Exchange, Grant, QuotaError, QuotaStore, Rule, Scope};
use tokio_postgres::{Row, types::FromSql};

use crate::{
    Builder,
    database::Database,
    error::Error,
    lane::{Lane, Value, micros},
    schema,
};

const EXCHANGE: &str =
    "select * from outbound_quota_exchange($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// A quota in a Postgres database, shared by all who open the same schema. An exchange is one round trip.
///
/// A clone is another handle of the same. All time is the database's.
#[derive(Debug, Clone)]
pub struct PostgresQuota {
    lane: Arc<Lane>,
}

impl PostgresQuota {
    /// Where the database is: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `host=.. user=..` as libpq reads it.
    pub fn builder(address: &str) -> Builder {
        Builder::new(address)
    }

    pub(crate) async fn open(database: Database) -> Result<Self, Error> {
        schema::migrate(&database).await?;
        Ok(Self { lane: Arc::new(Lane::new(database, &[EXCHANGE])) })
    }
}

impl QuotaStore for PostgresQuota {
    async fn exchange(&self, scope: &Scope, exchange: Exchange) -> Result<Grant, QuotaError> {
        let rules = |number: fn(Rule) -> i64| -> Vec<i64> {
            // A rule's fields are open to all: what makes no sense is taken as the nearest that does.
            scope
                .rules
                .iter()
                .map(|rule| number(Rule::rate(rule.amount, rule.per).burst(rule.burst)))
                .collect()
        };
        let amounts = rules(|rule| signed(rule.amount));
        let pers = rules(|rule| micros(rule.per));
        let bursts = rules(|rule| signed(rule.burst));
        let list = |list: &[u64]| -> Vec<i64> {
            (0..scope.rules.len()).map(|rule| signed(list.get(rule).copied().unwrap_or(0))).collect()
        };
        let (used, returned) = (list(&exchange.used), list(&exchange.returned));
        let (wanted, least) = (list(&exchange.wanted), list(&exchange.least));
        // Every number is another holder.
        let (holder, seq) = (exchange.holder.cast_signed(), signed(exchange.seq));
        let (wait, pause) = (micros(exchange.oldest_wait), exchange.pause.map(micros));
        let values: [Value<'_>; 12] = [
            &scope.name,
            &amounts,
            &pers,
            &bursts,
            &holder,
            &seq,
            &used,
            &returned,
            &wanted,
            &least,
            &wait,
            &pause,
        ];
        let rows = self.lane.ask(EXCHANGE, &values).await.map_err(QuotaError::new)?.rows;
        let row = rows.first().ok_or_else(|| QuotaError::new("the database answered with no row"))?;
        grant(row)
    }
}

fn grant(row: &Row) -> Result<Grant, QuotaError> {
    let granted: Vec<i64> = get(row, 0)?;
    let time = |column| get::<i64>(row, column).map(|micros| Duration::from_micros(micros.unsigned_abs()));
    Ok(Grant {
        granted: granted.iter().map(|granted| granted.unsigned_abs()).collect(),
        ttl: time(1)?,
        next_poll: time(2)?,
        pause: get::<Option<i64>>(row, 3)?.map(|micros| Duration::from_micros(micros.unsigned_abs())),
        generation: get::<i64>(row, 4)?.unsigned_abs(),
        holders: get::<i32>(row, 5)?.unsigned_abs(),
    })
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, QuotaError> {
    row.try_get(column).map_err(QuotaError::new)
}

/// Amounts and numbers as the database has them. What is larger is as large as fits without an overflow of sums.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
