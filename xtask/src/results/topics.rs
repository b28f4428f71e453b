//! What is measured, in the order of the page.

use std::time::Duration;

/// A crate beside its peers.
pub(crate) struct Topic {
    /// As `benches/peers` calls it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What must be known before the figures are compared.
    pub(crate) contract: &'static str,
    /// The groups in the chart, and the measure that its bars are.
    pub(crate) chart: &'static [&'static str],
    pub(crate) measure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) is_logarithmic: bool,
    /// Further arguments of the program that measures.
    pub(crate) arguments: &'static [&'static str],
    /// What takes longer than this hangs.
    pub(crate) limit: Duration,
}

const MINUTE: u64 = 60;

pub(crate) const TOPICS: &[Topic] = &[
    Topic {
        name: "timeout",
        title: "outbound-timeout",
        contract: "All of them end a future that takes too long. They differ in the moment at which the clock starts: ours \
            starts when the future first has to wait, so that a future which is ready at once costs no reading of the \
            clock; tokio's, and tower's, which is made of it, start when they are made. They differ too in how late they \
            fire, which is the last table. async-io, futures-timer and pingora have a thread of their own for their timers.",
        chart: &["ready", "pending once", "10k pending"],
        measure: "time",
        unit: "nanoseconds for one future, less is better",
        is_logarithmic: true,
        arguments: &[],
        limit: Duration::from_secs(5 * MINUTE),
    },
    Topic {
        name: "retry",
        title: "outbound-retry",
        contract: "All of them make up to three attempts and hand out the first success. tokio-retry, tokio-retry2 and \
            again always wait on a timer, also for a delay of zero, so they have no row where no timer is taken. tower has \
            no policy of its own: the row is one of ten lines written for it. The bare loop has no policy, no report and \
            no budget.",
        chart: &["ok, ready", "ok, pending once", "two failures, no timer"],
        measure: "time",
        unit: "nanoseconds for one call, less is better",
        is_logarithmic: true,
        arguments: &[],
        limit: Duration::from_secs(6 * MINUTE),
    },
    Topic {
        name: "limiter",
        title: "outbound-limiter",
        contract: "Permits: ours and tokio's are given out in the order in which they were asked for; async-lock lets a \
            newcomer take a permit before the one that waits. Rates: with governor each one that waits sleeps by itself and \
            tries again, so that a newcomer may pass; ours has one line. governor reads the processor's own counter, ours \
            the clock of tokio, which a test can pause.",
        chart: &["permit", "rate", "permit and rate", "contended"],
        measure: "time",
        unit: "nanoseconds for one permit or unit, less is better",
        is_logarithmic: true,
        arguments: &[],
        limit: Duration::from_secs(5 * MINUTE),
    },
    Topic {
        name: "queue",
        title: "outbound-queue",
        contract: "The first table is what each queue promises, found out by trying it; the figures come after it. Of those \
            in the table only ours and tokio's take part in tokio's cooperative budget (the row \"always ready, it lets \
            others run after\"): a consumer of the others that never has to wait keeps its thread until the queue is empty, \
            and a part of their lead is bought with that.",
        chart: &[
            "pair, 8 bytes",
            "priority pair",
            "two threads, 1x1, capacity 64",
            "two threads, 4x4, capacity 64",
        ],
        measure: "time",
        unit: "nanoseconds for one item, less is better",
        is_logarithmic: true,
        arguments: &[],
        limit: Duration::from_secs(15 * MINUTE),
    },
    Topic {
        name: "client",
        title: "outbound-client",
        contract: "All of them speak HTTP/1.1 over loopback to the same server, which is a process of its own, over \
            connections that stay open. hyper-util keeps a pool of connections and nothing else; ours and reqwest also follow \
            redirects, limit sizes and times, and know proxies. TLS is not measured: it would hide the rest.",
        chart: &["get", "post, 16 at once", "100 events"],
        measure: "time",
        unit: "nanoseconds on the processor, less is better",
        is_logarithmic: true,
        arguments: &[],
        limit: Duration::from_secs(5 * MINUTE),
    },
    Topic {
        name: "manager",
        title: "outbound: RequestManager",
        contract: "The provider never refuses here: what is measured is what it costs to be ready for it. What it is worth \
            is in the table of goodput.",
        chart: &["chat"],
        measure: "time",
        unit: "nanoseconds on the processor for one chat, less is better",
        is_logarithmic: false,
        arguments: &[],
        limit: Duration::from_secs(4 * MINUTE),
    },
    Topic {
        name: "journal",
        title: "outbound-journal",
        contract: "All of them wait until the device has the records (SQLite: WAL with `synchronous = FULL`). redb and SQLite \
            are databases: they find, change and delete records by a key. The journal appends, and reads from the beginning.",
        chart: &["256 producers", "one producer"],
        measure: "rate",
        unit: "records of 2 KiB a second, more is better",
        is_logarithmic: true,
        arguments: &[],
        limit: Duration::from_secs(6 * MINUTE),
    },
    Topic {
        name: "goodput",
        title: "A batch against a provider that limits",
        contract: "Both are told the same limits and the same concurrency. The loop is what one writes by hand from reqwest, \
            reqwest-retry and governor. It gives up on a request after five retries, and is run again for what is not done.",
        chart: &["A, seed 1", "B, seed 1"],
        measure: "goodput",
        unit: "best possible time / time of the run, more is better",
        is_logarithmic: false,
        arguments: &["--variant", "AB"],
        limit: Duration::from_secs(8 * MINUTE),
    },
];
