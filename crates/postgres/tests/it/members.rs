//! Who works on a batch, and what they are told.

use std::{sync::Arc, time::Duration};

use outbound::work::{Work, WorkStore};
use outbound_postgres::{Order, PostgresBatch};

use crate::database::{Schema, address};

async fn batch(schema: &Schema, holder: &str) -> PostgresBatch {
    let found = schema.builder().name("nightly").holder(holder).open_batch().await;
    found.expect("it is reached").expect("it is there")
}

async fn schema() -> Option<Schema> {
    let schema = Schema::new(&address()?);
    schema.builder().name("nightly").open().await.expect("opens");
    Some(schema)
}

#[tokio::test]
async fn a_name_that_nobody_opened_is_no_batch_and_makes_nothing() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    assert!(schema.builder().open_batch().await.expect("it is reached").is_none(), "without tables");
    schema.builder().name("other").open().await.expect("opens");
    assert!(schema.builder().name("nightly").open_batch().await.expect("it is reached").is_none());
    let count = schema.client().await.query_one("select count(*) from batch", &[]).await.expect("a count");
    assert_eq!(count.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn each_hears_who_else_is_there_until_it_leaves_or_falls_silent() {
    let Some(schema) = schema().await else { return };
    let (one, two) = (batch(&schema, "a:1").await, batch(&schema, "a:1").await);
    assert_eq!(one.report("x").await.expect("told").others, 0);
    assert_eq!(two.report("y\0z").await.expect("told").others, 1, "two of one name are two");
    assert_eq!(one.report("later").await.expect("told").others, 1);
    let members = one.members().await.expect("a list");
    let told: Vec<_> = members.iter().map(|member| (&*member.holder, &*member.status)).collect();
    assert_eq!(told, [("a:1", "later"), ("a:1", "yz")]);
    assert!(members.iter().all(|member| member.is_present() && member.began < Duration::from_secs(9)));
    schema.shift(Duration::from_secs(20)).await;
    assert_eq!(one.report("x").await.expect("told").others, 0, "the other one is silent");
    assert!(!one.members().await.expect("a list")[1].is_present());
    two.leave(0).await.expect("left");
    assert_eq!(one.members().await.expect("a list").len(), 1);
}

#[tokio::test]
async fn orders_hold_for_all_and_a_drain_for_those_who_had_begun() {
    let Some(schema) = schema().await else { return };
    let one = batch(&schema, "a").await;
    let first = one.report("").await.expect("told");
    assert_eq!((first.paused, first.drain, first.resumes, &*first.limits), (false, false, 0, "{}"));
    let from_outside = batch(&schema, "nobody").await;
    let order = async |order| from_outside.order(&order).await.expect("ordered");
    order(Order::Pause).await;
    order(Order::Limits(r#"{"rpm": 5, "tpm": 7}"#.to_owned())).await;
    order(Order::Limits(r#"{"rpm": 6}"#.to_owned())).await;
    let late = batch(&schema, "b").await;
    for member in [&one, &late] {
        let orders = member.report("").await.expect("told");
        assert!(orders.paused && !orders.drain);
        assert_eq!(orders.limits, r#"{"rpm": 6, "tpm": 7}"#);
    }
    order(Order::Drain).await;
    let later = batch(&schema, "c").await;
    assert!(later.report("").await.expect("told").paused, "also those who join later");
    order(Order::Resume).await;
    for (member, drains) in [(&one, true), (&late, true), (&later, false)] {
        let orders = member.report("").await.expect("told");
        assert_eq!((orders.paused, orders.resumes, orders.drain), (false, 1, drains));
    }
    assert!(from_outside.orders().await.expect("told").drain);
    assert_eq!(one.members().await.expect("a list").len(), 3, "who only orders is no member");
    assert!(from_outside.order(&Order::Limits("no JSON".to_owned())).await.is_err());
}

#[tokio::test]
async fn what_was_pushed_can_be_read() {
    let Some(schema) = schema().await else { return };
    let work = schema.builder().name("nightly").open().await.expect("opens");
    work.push(vec![Work::new("a", "1"), Work::new("b", "2")]).await.expect("pushed");
    let pushed = batch(&schema, "a").await.pushed(&[Arc::from("b"), Arc::from("c")]).await.expect("read");
    assert_eq!(pushed, [("b".into(), "2".into())]);
}

#[tokio::test]
async fn what_all_take_stays_within_the_budget() {
    let Some(schema) = schema().await else { return };
    let all = [batch(&schema, "a").await, batch(&schema, "b").await, batch(&schema, "c").await];
    assert_eq!(all[0].take(5).await.expect("answered"), 0, "there is none");
    all[0].order(&Order::Limits(r#"{"rpm": 1}"#.to_owned())).await.expect("ordered");
    assert_eq!(all[0].take(5).await.expect("answered"), 0, "there is none");
    all[0].order(&Order::Limits(r#"{"budget": 0.0001}"#.to_owned())).await.expect("ordered");
    let took = async |one: &PostgresBatch| {
        let mut sum = 0;
        for _ in 0..20 {
            sum += one.take(3).await.expect("answered");
        }
        sum
    };
    let [one, two, three] = &all;
    let (one, two, three) = tokio::join!(took(one), took(two), took(three));
    assert_eq!(one + two + three, 100, "{one}, {two} and {three} of 100 millionths");
    all[1].report("").await.expect("told");
    all[1].leave(7).await.expect("given");
    all[1].leave(7).await.expect("not given again");
    assert_eq!(all[0].report("").await.expect("told").taken, 93);
    assert_eq!(all[2].take(50).await.expect("answered"), 7);
    all[2].order(&Order::Limits(r#"{"budget": 0.00005}"#.to_owned())).await.expect("ordered");
    assert_eq!(all[2].take(50).await.expect("answered"), 0, "less than what is taken already");
}
