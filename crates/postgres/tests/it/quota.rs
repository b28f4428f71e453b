//! The function in the database beside the row in memory: the same exchanges, at the same times, have the same answers.

use std::{sync::Arc, time::Duration};

use outbound::quota_store::{Exchange, Grant, QuotaError, QuotaStore, Row, Rule, Scope};
use outbound_postgres::PostgresQuota;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    database::{Schema, address},
    quota_processes,
    quota_suite::{self, Tested},
};

/// A store with the schema it is in.
#[derive(Debug, Clone)]
struct Store {
    quota: PostgresQuota,
    schema: Arc<Schema>,
}

impl Store {
    async fn new(schema: Arc<Schema>) -> Self {
        Self { quota: schema.builder().open_quota().await.expect("opens"), schema }
    }

    async fn execute(&self, statements: &str) {
        self.schema.client().await.batch_execute(statements).await.expect("is done");
    }
}

impl QuotaStore for Store {
    async fn exchange(&self, scope: &Scope, exchange: Exchange) -> Result<Grant, QuotaError> {
        self.quota.exchange(scope, exchange).await
    }
}

impl Tested for Store {
    async fn advance(&self, by: Duration) {
        self.schema.shift(by).await;
    }

    async fn set_back(&self, by: Duration) -> bool {
        self.schema.shift(by).await;
        let micros = micros(by);
        self.execute(&format!("insert into shift values (-2 * {micros})")).await;
        true
    }

    async fn another(&self) -> Self {
        Self::new(self.schema.clone()).await
    }

    async fn save(&self) -> bool {
        self.execute(
            "create table saved_quota as select * from quota; \
             create table saved_holder as select * from quota_holder",
        )
        .await;
        true
    }

    async fn put_back(&self) {
        self.execute(
            "begin; delete from quota; insert into quota select * from saved_quota; \
             insert into quota_holder select * from saved_holder; commit",
        )
        .await;
    }

    async fn lose(&self) {
        self.execute("delete from quota").await;
    }
}

async fn store(address: &str) -> Store {
    Store::new(Arc::new(Schema::new(address))).await
}

#[tokio::test]
async fn a_quota_in_a_database_conforms() {
    let Some(address) = address() else { return };
    quota_suite::conforms(async || store(&address).await).await;
}

#[tokio::test]
async fn a_quota_in_a_database_pauses() {
    let Some(address) = address() else { return };
    quota_suite::pauses(async || store(&address).await).await;
}

#[tokio::test]
async fn a_quota_in_a_database_is_lost() {
    let Some(address) = address() else { return };
    quota_suite::losses(async || store(&address).await).await;
}

#[tokio::test]
async fn a_quota_in_a_database_has_many_holders_and_scopes() {
    let Some(address) = address() else { return };
    quota_suite::many(async || store(&address).await).await;
}

const START: u64 = 1_800_000_000_000_000;

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).expect("fits")
}

fn list(list: &[u64]) -> Vec<i64> {
    list.iter().map(|number| i64::try_from(*number).expect("fits")).collect()
}

/// A random exchange of one of a few holders: most are honest, some report what they never had, and some come twice.
fn random(random: &mut StdRng, seqs: &mut [u64]) -> Exchange {
    let holder = random.random_range(0..seqs.len());
    if !random.random_ratio(1, 10) {
        seqs[holder] += 1;
    }
    let mut pair = |most: [u64; 2]| [random.random_range(0..=most[0]), random.random_range(0..=most[1])];
    let (used, returned) = (pair([20, 3_000]), pair([3, 400]));
    let (wanted, least) = (pair([60, 6_000]), pair([1, 400]));
    let wanted = if random.random_ratio(1, 5) { [0, 0] } else { wanted };
    let least = if wanted == [0, 0] { [0, 0] } else { least };
    let exchange = Exchange::new(holder as u64 + 1, seqs[holder].max(1))
        .used(used)
        .returned(returned)
        .wanted(wanted)
        .least(least)
        .oldest_wait(Duration::from_millis(random.random_range(0..30_000)));
    if random.random_ratio(1, 40) {
        exchange.pause(Duration::from_millis(random.random_range(0..8_000)))
    } else {
        exchange
    }
}

#[tokio::test]
async fn the_database_does_what_the_row_does() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let _quota = schema.builder().open_quota().await.expect("opens");
    let client = schema.client().await;
    client.batch_execute("set synchronous_commit to off").await.expect("is set");
    let statement = client
        .prepare("select * from outbound_quota_exchange_at($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .await
        .expect("is prepared");
    for seed in 0..12 {
        let minute = Duration::from_secs(60);
        let scope = Scope::new(&format!("scope {seed}"))
            .rule(Rule::rate(500, minute))
            .rule(Rule::rate(90_000, minute).burst(if seed % 2 == 0 { 45_000 } else { 9_000 }));
        let numbers = |of: fn(&Rule) -> u64| list(&scope.rules.iter().map(of).collect::<Vec<_>>());
        let (amounts, bursts) = (numbers(|rule| rule.amount), numbers(|rule| rule.burst));
        let pers: Vec<i64> = scope.rules.iter().map(|rule| micros(rule.per)).collect();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut seqs = [0; 5];
        let mut now = START;
        let mut row: Option<Row> = None;
        for step in 0..250 {
            now = match rng.random_range(0..60) {
                0 => now - rng.random_range(0..3_600_000_000),
                1 => now + rng.random_range(0..3_600_000_000),
                _ => now + rng.random_range(0..3_000_000),
            };
            let exchange = random(&mut rng, &mut seqs);
            let answer = client
                .query_one(
                    &statement,
                    &[
                        &scope.name,
                        &amounts,
                        &pers,
                        &bursts,
                        &i64::try_from(exchange.holder).expect("fits"),
                        &i64::try_from(exchange.seq).expect("fits"),
                        &list(&exchange.used),
                        &list(&exchange.returned),
                        &list(&exchange.wanted),
                        &list(&exchange.least),
                        &micros(exchange.oldest_wait),
                        &exchange.pause.map(micros),
                        &i64::try_from(now).expect("fits"),
                    ],
                )
                .await
                .unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error:?}"));
            let generation = u64::try_from(answer.get::<_, i64>(4)).expect("positive");
            let row = row.get_or_insert_with(|| Row::new(&scope, generation, now));
            let expected = row.exchange(&scope, &exchange, now);
            let found = (
                answer.get::<_, Vec<i64>>(0),
                answer.get::<_, i64>(1),
                answer.get::<_, i64>(2),
                answer.get::<_, Option<i64>>(3),
                answer.get::<_, i32>(5),
            );
            let expected = (
                list(&expected.granted),
                micros(expected.ttl),
                micros(expected.next_poll),
                expected.pause.map(micros),
                i32::try_from(expected.holders).expect("fits"),
            );
            assert_eq!(found, expected, "seed {seed}, step {step}: {exchange:?} {row:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_database() {
    let Some(address) = address() else { return };
    if let Some(schema) = quota_processes::place() {
        let builder = PostgresQuota::builder(&address).schema(&schema).patience(Duration::from_secs(20));
        return quota_processes::hold(builder.open_quota().await.expect("opens")).await;
    }
    let schema = Schema::new(&address);
    // So that not all of them begin with creating the tables.
    drop(schema.builder().open_quota().await.expect("opens"));
    quota_processes::share("quota::processes_share_a_database", &schema.name).await;
}
