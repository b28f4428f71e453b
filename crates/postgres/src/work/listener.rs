//! How a worker hears of work: by notifications of the database, and by looking from time to time.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, timeout_at},
};
use tokio_postgres::Client;

use crate::{database::Database, error::Error};

/// How long a wait takes at most. It is also the shortest time between two connections that listen.
const POLL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Listener {
    database: Database,
    /// What the notifications of this batch say.
    batch: String,
    heard: Arc<Heard>,
    ear: Mutex<Ear>,
}

#[derive(Debug)]
struct Heard {
    changed: Notify,
    /// There may be more work than the last claim found.
    more: AtomicBool,
}

/// The connection that listens. It is made at the first wait.
#[derive(Default)]
struct Ear {
    client: Option<Client>,
    /// Since when it listens.
    since: Option<Instant>,
    tried: Option<Instant>,
}

impl Listener {
    pub(super) fn new(database: Database, batch: i64) -> Self {
        let batch = format!("{} {batch}", database.schema);
        let heard = Arc::new(Heard { changed: Notify::new(), more: AtomicBool::new(true) });
        Self { database, batch, heard, ear: Mutex::default() }
    }

    pub(super) const fn database(&self) -> &Database {
        &self.database
    }

    /// A claim begins. What is heard from here on may be more than it finds.
    pub(super) fn looks(&self) {
        self.heard.more.store(false, Ordering::SeqCst);
    }

    /// A claim has left something, or may have.
    pub(super) fn left_some(&self) {
        self.heard.more.store(true, Ordering::SeqCst);
    }

    /// Until there may be more work than the last claim found.
    pub(super) async fn wait(&self) {
        let began = Instant::now();
        let poll = began + POLL;
        let mut changed = pin!(self.heard.changed.notified());
        changed.as_mut().enable();
        // Only one wait ends for it: who waits for something else, and does not claim, has to wait.
        if self.heard.more.swap(false, Ordering::SeqCst) {
            return;
        }
        let since = timeout_at(poll, self.listen()).await.ok().flatten();
        // Nobody heard what came between the last claim and the beginning.
        if since.is_some_and(|since| since > began) {
            return;
        }
        // Nothing was heard, and it is time to look.
        let _ = timeout_at(poll, changed).await;
    }

    /// Since when a connection listens. `None`: none does at the moment.
    async fn listen(&self) -> Option<Instant> {
        let mut ear = self.ear.lock().await;
        if ear.client.as_ref().is_some_and(|client| !client.is_closed()) {
            return ear.since;
        }
        // A database that is away, or cuts each connection, is not asked all the time.
        if ear.tried.is_some_and(|tried| tried.elapsed() < POLL) {
            return None;
        }
        *ear = Ear { tried: Some(Instant::now()), ..Ear::default() };
        match self.connect().await {
            Ok(client) => {
                (ear.client, ear.since) = (Some(client), Some(Instant::now()));
                ear.since
            }
            Err(error) => {
                tracing::debug!(%error, "cannot listen for work, and looks every 2 seconds");
                None
            }
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        let (heard, batch) = (self.heard.clone(), self.batch.clone());
        let hear = move |notification: tokio_postgres::Notification| {
            if notification.payload() == batch {
                heard.more.store(true, Ordering::SeqCst);
                heard.changed.notify_waiters();
            }
        };
        let client = self.database.connect_and_hear(hear).await?;
        client.batch_execute("listen outbound_work").await?;
        Ok(client)
    }
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("since", &self.since).finish_non_exhaustive()
    }
}
