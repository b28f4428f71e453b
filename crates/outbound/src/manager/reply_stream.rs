//! A streamed reply.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::stream::Stream;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    error::Error, inner::Handle, item::Item, outcome::Outcome, task::AbortOnDropHandle, ticket::Ticket,
};

/// A reply, item by item as it comes. Made by [`RequestManager::stream`](super::RequestManager::stream).
///
/// It is a [`Stream`], and has a [`next`](Self::next) of its own. It ends after the provider's own end marker. If
/// anything else ends the answer, the last item is an error, which holds the text that came ([`Error::partial`]).
///
/// Until the first item is returned, failures are retried as those of [`send`](super::RequestManager::send) are. After
/// that the answer cannot start again.
///
/// The answer is read as fast as it comes, whether or not the items are asked for. So a slow reader holds no permit,
/// and no timeout runs while it is slow. Items that were read and not asked for are kept here, 64 MiB at most.
///
/// # Dropping
///
/// Dropping it aborts the request: the connection is closed, and permits return. It is a handle to its manager, as a
/// batch is.
///
/// ```no_run
/// # async fn example(manager: outbound::RequestManager) -> Result<(), Box<dyn std::error::Error>> {
/// use outbound::Request;
/// use serde_json::json;
///
/// let mut reply = manager.stream(Request::chat(&json!({
///     "model": "gpt-4o-mini",
///     "stream": true,
///     "messages": [{"role": "user", "content": "Tell me of three rivers."}],
/// })));
/// while let Some(item) = reply.next().await {
///     print!("{}", item?.text());
/// }
/// println!("{:?}", reply.outcome().await.usage);
/// # Ok(())
/// # }
/// ```
#[must_use = "a reply does nothing unless it is read"]
pub struct ReplyStream {
    items: UnboundedReceiver<Item>,
    end: End,
    /// Aborts the task when it is dropped.
    _task: AbortOnDropHandle,
    /// Keeps the manager alive.
    _manager: Handle,
}

enum End {
    /// Items may still come.
    Pending(Ticket),
    /// All items were returned. `error_returned`: the error that ended the answer was returned too, if there was one.
    Reached { outcome: Box<Outcome>, error_returned: bool },
}

impl ReplyStream {
    pub(super) fn new(
        items: UnboundedReceiver<Item>,
        outcome: Ticket,
        task: AbortOnDropHandle,
        manager: Handle,
    ) -> Self {
        Self { items, end: End::Pending(outcome), _task: task, _manager: manager }
    }

    /// The next item, or the error that ended the answer, or `None` at its end.
    ///
    /// Cancel safe: an item that was not returned waits for the next call.
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// The outcome: attempts, tokens and times, and the whole answer as it would be without streaming, or its error.
    /// Items that were not asked for are dropped.
    ///
    /// Dropping the future aborts the request.
    pub async fn outcome(mut self) -> Outcome {
        self.items.close();
        match self.end {
            End::Pending(outcome) => outcome.await,
            End::Reached { outcome, .. } => *outcome,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        // Items go before the end.
        if let Some(item) = ready!(self.items.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(item)));
        }
        if let End::Pending(ticket) = &mut self.end {
            let outcome = Box::new(ready!(Pin::new(ticket).poll(cx)));
            self.end = End::Reached { outcome, error_returned: false };
        }
        let End::Reached { outcome, error_returned } = &mut self.end else { return Poll::Pending };
        let error = outcome.result.as_ref().err().filter(|_| !*error_returned).cloned();
        *error_returned = true;
        Poll::Ready(error.map(Err))
    }
}

impl Stream for ReplyStream {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = matches!(self.end, End::Reached { .. });
        f.debug_struct("ReplyStream").field("ended", &ended).finish_non_exhaustive()
    }
}
