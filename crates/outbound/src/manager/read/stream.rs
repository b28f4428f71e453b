//! Reads a streamed reply: events, lines, or the items of an array.

use std::time::Duration;

use bytes::Bytes;
use outbound_client as client;
use outbound_provider::{
    Class, Delta, Fault, Framing, JsonSplitter, StreamItem, StreamReader, Terminal, Usage,
};
use outbound_timeout::TimeoutExt;
use tokio::time::Instant;

use super::{Failure, Item, ItemSender, Reader, Scope};
use crate::manager::observe::Step;

/// How long a body may take to end after the provider's own end marker.
const LINGER: Duration = Duration::from_millis(100);

impl Reader<'_> {
    /// Reads a stream to its end. The end has to be the provider's own end marker, if the provider has one.
    pub(super) async fn read_stream(
        &self,
        reply: client::Reply,
        framing: Framing,
    ) -> Result<(Bytes, Option<Usage>), Failure> {
        let reader = self.scope.account.provider.stream().expect_choices(self.facts.choices);
        // A reader that is complete before anything was read has no end marker. Its stream ends with the body.
        let has_end_marker = !reader.is_complete();
        let frames = match framing {
            Framing::Events => Frames::Events(reply.events().map_err(Failure::of_client)?),
            _ => Frames::Values { reply, splitter: JsonSplitter::new(), ended: false },
        };
        let mut stream = StreamedReply {
            scope: self.scope,
            sent_at: self.sent_at,
            frames,
            reader,
            has_end_marker,
            items: self.items,
            held_back: Vec::new(),
        };
        // Comments and pings satisfy the idle timeout of the connection. But only an item ends the wait for the first
        // item. That wait began when the request was sent.
        let (first_item, limit) = self.first_item;
        let read = match stream.read(true).deadline(first_item).await {
            Ok(Ok(true)) => {
                if let Some(emitter) = &self.emitter {
                    emitter.emit(Step::Item { after: self.sent_at.elapsed() });
                }
                if self.items.is_some() {
                    // Lets the caller take the first item before the others are read. They may all be here already.
                    tokio::task::yield_now().await;
                }
                stream.read(false).await
            }
            Ok(read) => read,
            Err(_) => {
                let message = format!("no item of the stream within {limit:?} (first item limit)");
                Err(Failure::stalled(message))
            }
        };
        let usage = stream.reader.usage();
        // A failure after a complete answer is ignored.
        if let Err(failure) = read
            && !(failure.source.is_some() && stream.is_whole())
        {
            return Err(Failure { partial: Some(stream.reader.text()), ..failure });
        }
        match stream.reader.finish() {
            Ok(body) => {
                // Reading to the end of the body lets the connection be used again.
                let _ = stream.frames.next().timeout(LINGER).await;
                Ok((body.to_string().into(), usage))
            }
            Err(truncated) => {
                let fault = Fault::new(truncated.class());
                Err(Failure { partial: Some(truncated.text), ..Failure::of_fault(fault) })
            }
        }
    }
}

/// A streamed reply.
struct StreamedReply<'a> {
    scope: &'a Scope,
    sent_at: Instant,
    frames: Frames,
    reader: StreamReader,
    /// Whether the streams of this provider have an end marker.
    has_end_marker: bool,
    items: Option<&'a ItemSender>,
    /// Events before the first item. They are delivered with it.
    held_back: Vec<Item>,
}

impl StreamedReply<'_> {
    /// Whether the end marker has come.
    fn is_whole(&self) -> bool {
        self.has_end_marker && self.reader.is_complete()
    }

    /// Reads to the end, or up to and including the next item. Says whether it stopped at an item.
    async fn read(&mut self, until_item: bool) -> Result<bool, Failure> {
        // A complete answer may be followed by a count of tokens and an end marker. So the rest is waited for, but not
        // long.
        let mut linger = None;
        loop {
            let frame = if self.is_whole() {
                let until = *linger.get_or_insert_with(|| Instant::now() + self.linger());
                self.frames.next().deadline(until).await.unwrap_or_default()
            } else {
                self.frames.next().await
            };
            let Some(frame) = frame else { return Ok(false) };
            let frame = frame?;
            self.scope.note_activity(self.sent_at);
            let item = self.reader.feed(frame.name(), frame.data()).map_err(Failure::of_fault)?;
            let is_item = matches!(item, StreamItem::Delta(_));
            match item {
                StreamItem::Finished => return Ok(false),
                StreamItem::Delta(delta) => {
                    let usage = delta.usage;
                    self.deliver(delta, usage, &frame, true);
                }
                StreamItem::Usage(usage) => self.deliver(Delta::default(), Some(usage), &frame, false),
                _ => self.deliver(Delta::default(), None, &frame, false),
            }
            if is_item && until_item {
                return Ok(true);
            }
        }
    }

    /// Delivers an event. Events before the first item are kept until it comes, since another attempt may begin until
    /// then.
    fn deliver(&mut self, delta: Delta, usage: Option<Usage>, frame: &Frame, is_item: bool) {
        let Some(items) = self.items else { return };
        self.held_back.push(Item { delta, usage, data: frame.data().to_owned() });
        if is_item || items.has_delivered() {
            self.held_back.drain(..).for_each(|item| items.send(item));
        }
    }

    /// How long the rest of a complete answer is waited for. Longer if the count of tokens has not come yet.
    fn linger(&self) -> Duration {
        if self.reader.usage().is_some() { LINGER } else { LINGER * 10 }
    }
}

/// The frames of a streamed reply, as they come.
enum Frames {
    Events(client::Events),
    Values { reply: client::Reply, splitter: JsonSplitter, ended: bool },
}

enum Frame {
    Event(client::Event),
    Value(String),
}

impl Frame {
    /// The name of an event. A value of an array has none.
    fn name(&self) -> &str {
        match self {
            Self::Event(event) => &event.event,
            Self::Value(_) => "",
        }
    }

    fn data(&self) -> &str {
        match self {
            Self::Event(event) => &event.data,
            Self::Value(value) => value,
        }
    }
}

impl Frames {
    async fn next(&mut self) -> Option<Result<Frame, Failure>> {
        match self {
            Self::Events(events) => {
                let event = events.next().await?;
                Some(event.map(Frame::Event).map_err(Failure::of_client))
            }
            Self::Values { reply, splitter, ended } => loop {
                if let Some(value) = splitter.next_value() {
                    return Some(Ok(Frame::Value(value)));
                }
                if *ended {
                    return None;
                }
                match reply.chunk().await {
                    Some(Ok(chunk)) => {
                        if let Err(error) = splitter.push(&chunk) {
                            let mut fault = Fault::new(Class::Terminal(Terminal::TooLarge));
                            fault.message = Some(error.to_string());
                            return Some(Err(Failure::of_fault(fault)));
                        }
                    }
                    Some(Err(error)) => return Some(Err(Failure::of_client(error))),
                    None => {
                        *ended = true;
                        let rest = std::mem::take(splitter).finish();
                        return Some(Ok(Frame::Value(rest?)));
                    }
                }
            },
        }
    }
}
