//! The tables, and how they come to be.

use tokio_postgres::{Client, error::SqlState};

use crate::{
    database::Database,
    error::{Error, Kind},
};

/// Each brings the tables one version further. None is ever changed.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/1.sql"), include_str!("migrations/2.sql"), include_str!("migrations/3.sql")];

const VERSION: &str = "select coalesce(max(version), 0) from migration";

/// Sees to it that the tables are there, and as this program knows them.
pub(crate) async fn migrate(database: &Database) -> Result<(), Error> {
    let mut client = database.connect().await?;
    if is_up_to_date(&client).await? {
        return Ok(());
    }
    let all = bring_up(&mut client, &database.schema).await;
    all.map_err(|error| match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Error::new(Kind::MayNotCreate(error)),
        _ => error.into(),
    })
}

async fn is_up_to_date(client: &Client) -> Result<bool, Error> {
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    match version(client).await? {
        found if found > known => Err(Error::new(Kind::Newer { found, known })),
        found => Ok(found == known),
    }
}

/// 0 where there is no table.
async fn version(client: &Client) -> Result<i32, tokio_postgres::Error> {
    match client.query_one(VERSION, &[]).await {
        Ok(row) => row.try_get(0),
        Err(error)
            if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]
                .iter()
                .any(|code| error.code() == Some(code)) =>
        {
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// All or nothing, and one at a time: the lock is that of the transaction.
async fn bring_up(client: &mut Client, schema: &str) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let name = format!("outbound {schema}");
    transaction.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", &[&name]).await?;
    transaction
        .batch_execute(&format!(
            "create schema if not exists {schema}; \
             create table if not exists migration (version int primary key, at timestamptz not null default now())"
        ))
        .await?;
    let row = transaction.query_one(VERSION, &[]).await?;
    let found = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0);
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        transaction.batch_execute(migration).await?;
        let version = i32::try_from(number + 1).unwrap_or(i32::MAX);
        transaction.execute("insert into migration (version) values ($1)", &[&version]).await?;
    }
    transaction.commit().await
}
