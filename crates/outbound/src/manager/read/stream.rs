//! A reply that comes in pieces: events, lines, or the items of an array.

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
    /// Reads it to its end, which has to be the provider's own.
    pub(super) async fn read_stream(
        &self,
        reply: client::Reply,
        framing: Framing,
    ) -> Result<(Bytes, Option<Usage>), Failure> {
        let reader = self.scope.account.provider.stream().expect_choices(self.facts.choices);
        // A reader that asks for nothing before it has read anything has no mark to wait for: its end is that of the body.
        let marked = !reader.is_complete();
        let frames = match framing {
            Framing::Events => Frames::Events(reply.events().map_err(Failure::of_client)?),
            _ => Frames::Values { reply, splitter: JsonSplitter::new(), ended: false },
        };
        let mut stream = StreamedReply {
            scope: self.scope,
            sent_at: self.sent_at,
            frames,
            reader,
            marked,
            items: self.items,
            held_back: Vec::new(),
        };
        // Comments and pings keep the connection's idle limit content; only an item ends the wait for the first, which
        // has gone on since the request was sent.
        let (first_item, limit) = self.first_item;
        let read = match stream.read(true).deadline(first_item).await {
            Ok(Ok(true)) => {
                if let Some(emitter) = &self.emitter {
                    emitter.emit(Step::Item { after: self.sent_at.elapsed() });
                }
                if self.items.is_some() {
                    // Whoever waits for the first item has it before the others are read, which may all be here.
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
        // What happens to the rest of a body whose answer is whole makes it no less so.
        if let Err(failure) = read
            && !(failure.source.is_some() && stream.is_whole())
        {
            return Err(Failure { partial: Some(stream.reader.text()), ..failure });
        }
        match stream.reader.finish() {
            Ok(body) => {
                // Its proper end makes the connection fit to be used again.
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

/// A reply that comes in pieces.
struct StreamedReply<'a> {
    scope: &'a Scope,
    sent_at: Instant,
    frames: Frames,
    reader: StreamReader,
    /// Whether this provider's streams end with a mark.
    marked: bool,
    items: Option<&'a ItemSender>,
    /// Events before the first item: they go with it, or nowhere.
    held_back: Vec<Item>,
}

impl StreamedReply<'_> {
    /// Whether the mark of the end has come.
    fn is_whole(&self) -> bool {
        self.marked && self.reader.is_complete()
    }

    /// Reads to the end, or to the next item: says whether it stopped at one.
    async fn read(&mut self, until_item: bool) -> Result<bool, Failure> {
        // An answer that is whole may be followed by a count of tokens and an end marker, but need not be.
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
            self.scope.heard(self.sent_at);
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

    /// What comes before the first item goes with it, or nowhere: until then another attempt may begin.
    fn deliver(&mut self, delta: Delta, usage: Option<Usage>, frame: &Frame, is_item: bool) {
        let Some(items) = self.items else { return };
        self.held_back.push(Item { delta, usage, data: frame.data().to_owned() });
        if is_item || items.has_delivered() {
            self.held_back.drain(..).for_each(|item| items.send(item));
        }
    }

    /// How long the rest of a whole answer is waited for: longer where the count of tokens has not come.
    fn linger(&self) -> Duration {
        if self.reader.usage().is_some() { LINGER } else { LINGER * 10 }
    }
}

/// The pieces of a reply, as they come.
enum Frames {
    Events(client::Events),
    Values { reply: client::Reply, splitter: JsonSplitter, ended: bool },
}

enum Frame {
    Event(client::Event),
    Value(String),
}

impl Frame {
    /// Empty where there are no names.
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
