//! From a request to its reply: read, check, admit, misbehave or answer.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    answer::{self, Answer},
    batching::Batch,
    body::{Cut, ReplyBody},
    connection::Link,
    dialect::{Ask, Dialect},
    draw::{self, Draw, Purpose},
    exchange::Exchange,
    fault::{self, Fault},
    latency::Latency,
    ledger::{Outcome, Seen},
    plan::Plan,
    prose::Subject,
    provider::{Provider, Settings},
    quota::{Charging, Cost},
    refusal::Refusal,
    reply::Reply,
    script::{Script, Timing},
};

/// Answers one request. An error has the connection closed without a reply.
pub(crate) async fn answer(
    provider: Arc<Provider>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Cut> {
    let busy = link.busy();
    let (parts, body) = request.into_parts();
    let (body, is_whole) = read(body, provider.settings.max_body).await?;
    let served = Dialect::served_at(parts.uri.path());
    let dialect = served.unwrap_or(Dialect::OpenAi);
    let json = serde_json::from_slice::<Value>(&body);
    let keys = &provider.settings.keys;
    let sent = dialect.key(&parts.uri, &parts.headers);
    let key = sent.and_then(|sent| keys.iter().position(|key| key.is(sent)));

    let asked = match &json {
        _ if served.is_none() => Err(Refusal::status(404).message("There is nothing at this path.")),
        _ if parts.method != Method::POST => {
            Err(Refusal::status(405).message("Only POST is served at this path."))
        }
        _ if !is_whole => Err(Refusal::status(413)),
        _ if !is_accepted(&provider, key) => {
            Err(dialect.no_key(dialect.key(&parts.uri, &parts.headers).is_some()))
        }
        Err(_) => Err(Refusal::status(400).message("We could not parse the JSON body of your request.")),
        Ok(json) => dialect
            .parse(&parts.uri, &parts.headers, json)
            .map_err(|message| Refusal::status(400).message(message)),
    };
    let subject = json.as_ref().map(Subject::of).unwrap_or_default();
    let mut seen = seen(parts, &body, json.as_ref().ok());
    // Some dialects have them in the path, or stream unless they are told not to.
    if let Ok(ask) = &asked {
        seen.model = Some(ask.model.clone());
        seen.stream = ask.stream;
    }
    let asked = match asked {
        Ok(ask) if !provider.settings.serves(&ask.model) => Err(Refusal::status(404)),
        asked => asked,
    };
    seen.key = key;
    seen.item = provider.settings.plan.as_ref().and_then(|plan| plan.item_of(&body));
    if provider.settings.way_in != Latency::none() {
        // The number of the attempt is not known before the admission: the time stands in for it.
        let now = provider.now().as_nanos() as u64;
        let mut draw = Draw::keyed(provider.settings.seed ^ now, seen.draw_key(), 0, Purpose::WayIn);
        sleep(provider.settings.way_in.draw(&mut draw)).await;
    }
    let asked = match provider.outage_at(provider.now()) {
        Some(_) => Err(Refusal::status(503)),
        None => asked.map(|ask| count(&provider.settings, ask, seen.draw_key())),
    };
    let charging = provider.untouched.charging();
    let estimate = asked.as_ref().ok().map(|ask| charge(&provider.settings, charging, ask, seen.draw_key()));
    let (mut exchange, seen, admission) = Exchange::begin(provider, busy, seen, estimate);

    let standings = exchange.provider().settings.headers_at_admission.then(|| exchange.standings());
    let request_id = request_id(exchange.provider().settings.seed, &seen);
    let reply = Reply { dialect, request_id, standings };
    let ask = match asked {
        Ok(ask) => ask,
        Err(refusal) => {
            let outcome = Outcome::Refused(refusal.status);
            return Ok(reply.refuse(exchange, &refusal, outcome));
        }
    };
    if let Err(over) = admission {
        let refusal = reply.over_quota(exchange.provider(), &ask.model, over);
        return Ok(reply.refuse(exchange, &refusal, Outcome::OverQuota(over.dimension)));
    }
    let settings = &exchange.provider().settings;
    let planned = match (&settings.plan, seen.item) {
        (Some(plan), Some(item)) => Some(plan.attempt(item, seen.attempt)),
        _ => None,
    };
    let fault = fault::choose(settings.rules(&seen), settings.seed, &seen);
    let fault = fault.or_else(|| planned.as_ref()?.fault.clone());
    let latency = planned.map(|planned| planned.latency);
    if let Some(fault) = &fault {
        exchange.strike(fault);
    }
    perform(exchange, &reply, &ask, &subject, &seen, fault, latency).await
}

/// The part that takes time.
async fn perform(
    mut exchange: Exchange,
    reply: &Reply,
    ask: &Ask,
    subject: &Subject,
    seen: &Seen,
    fault: Option<Fault>,
    planned: Option<Duration>,
) -> Result<Response<ReplyBody>, Cut> {
    let provider = exchange.shared();
    let settings = &provider.settings;
    let created = provider.wall().unix_seconds();
    let mark = seen.item.map(Plan::mark);
    let length = &settings.output_tokens;
    let answer = Answer::to(ask, subject, settings.seed, seen.draw_key(), length, created, mark);
    let draw = |purpose| Draw::keyed(settings.seed, seen.body_hash, seen.attempt, purpose);
    let (latency, timing) = match planned {
        // It is the time of the whole: a quarter of it for the head, the rest for the tokens.
        Some(whole) if ask.stream => {
            let tokens = u32::try_from(answer.output_tokens()).unwrap_or(u32::MAX).max(1);
            // In a few pieces: many timers say nothing that few do not.
            let together = tokens.div_ceil(8) as usize;
            (whole / 4, Timing { first_token: Duration::ZERO, token: (whole - whole / 4) / tokens, together })
        }
        Some(whole) => (whole, Timing { first_token: Duration::ZERO, token: Duration::ZERO, together: 1 }),
        None => {
            let model = settings.models.get(&ask.model);
            let first_token = model.and_then(|model| model.first_token).unwrap_or(settings.first_token);
            let first_token = first_token.draw(&mut draw(Purpose::FirstToken));
            let latency = model.and_then(|model| model.latency).unwrap_or(settings.latency);
            let latency = latency.draw(&mut draw(Purpose::Latency));
            let token = model.and_then(|model| model.token_time).unwrap_or(settings.token_time);
            (latency, Timing { first_token, token, together: 1 })
        }
    };

    // Until it is known better, the whole answer: the client may leave, and the provider has made it all the same.
    exchange.bill(answer.input_tokens, answer.output_tokens());
    let place = provider.batch.as_ref().map(Batch::enter);
    if matches!(place, Some(None)) {
        let refusal = Refusal::status(503);
        let outcome = Outcome::Refused(refusal.status);
        exchange.bill(0, 0);
        return Ok(reply.refuse(exchange, &refusal, outcome));
    }
    let place = place.flatten();
    match fault {
        Some(Fault::Silence) => {
            if !settings.bill_unseen {
                exchange.bill(0, 0);
            }
            // The exchange ends when the client leaves.
            let _exchange = exchange;
            pending().await
        }
        Some(Fault::Refuse(refusal)) => {
            exchange.bill(0, 0);
            sleep(latency).await;
            let outcome = Outcome::Refused(refusal.status);
            Ok(reply.refuse(exchange, &refusal, outcome))
        }
        Some(Fault::ResetBeforeHeaders) => {
            if !settings.bill_unseen {
                exchange.bill(0, 0);
            }
            sleep(latency).await;
            exchange.reset_connection();
            Err(Cut)
        }
        fault if ask.stream => {
            if let Some(place) = place {
                place.make(answer.output_tokens()).await;
            }
            sleep(latency).await;
            // From here on it is seen how much of the answer was made.
            exchange.bill(answer.input_tokens, 0);
            let script = Script::stream(reply, &answer, ask, timing, fault.as_ref());
            Ok(reply.send(exchange, StatusCode::OK, ask.framing.content_type(), HeaderMap::new(), script))
        }
        fault => {
            if matches!(fault, Some(Fault::ErrorEvent { .. })) {
                exchange.bill(0, 0);
            }
            if let Some(place) = place {
                place.make(answer.output_tokens()).await;
            }
            let is_kept_alive = matches!(fault, Some(Fault::KeepAlive { .. }));
            let whole = timing.whole(answer.output_tokens());
            // A plain reply has its head when the answer is made, unless signs of life go before.
            sleep(if is_kept_alive { latency } else { latency.saturating_add(whole) }).await;
            let script = Script::plain(reply, &answer, ask, whole, fault.as_ref());
            Ok(reply.send(exchange, StatusCode::OK, "application/json", HeaderMap::new(), script))
        }
    }
}

/// Counts the prompt's tokens about as a tokenizer would, if that is asked for.
pub(crate) fn count(settings: &Settings, mut ask: Ask, key: u64) -> Ask {
    if let Some(spread) = settings.token_spread {
        let off = Draw::keyed(settings.seed, key, 0, Purpose::Count).unit().mul_add(2.0, -1.0);
        let text = (ask.input_tokens as f64 * off.mul_add(spread, 1.0)).round() as u64;
        ask.input_tokens = text + 4 * ask.messages + 3;
    }
    ask
}

/// What its admission takes from the quotas.
pub(crate) fn charge(settings: &Settings, charging: Charging, ask: &Ask, key: u64) -> Cost {
    let length = &settings.output_tokens;
    let output = match charging {
        Charging::Actual => answer::length_of(ask, settings.seed, key, length).1,
        Charging::Estimate | Charging::Settle => ask.max_tokens.unwrap_or(*length.end()),
    };
    Cost { input: ask.input_tokens, output }
}

/// Reads a body up to a limit; nothing and false if it is longer.
async fn read(body: Incoming, limit: usize) -> Result<(Bytes, bool), Cut> {
    if body.size_hint().lower() > limit as u64 {
        return Ok((Bytes::new(), false));
    }
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok((whole.to_bytes(), true)),
        Err(error) if error.is::<LengthLimitError>() => Ok((Bytes::new(), false)),
        // The client left in the middle of it: there is no request, and nobody to tell.
        Err(_) => Err(Cut),
    }
}

fn is_accepted(provider: &Provider, key: Option<usize>) -> bool {
    let keys = &provider.settings.keys;
    keys.is_empty() || key.is_some_and(|key| keys[key].settings.is_valid_at(provider.now()))
}

/// Place, time and attempt are filled in by the exchange.
fn seen(parts: Parts, body: &[u8], json: Option<&Value>) -> Seen {
    let field = |name: &str| json.and_then(|json| json.get(name));
    let idempotency_key = parts.headers.get("idempotency-key");
    Seen {
        sequence: 0,
        at: Duration::ZERO,
        key: None,
        model: field("model").and_then(Value::as_str).map(Into::into),
        idempotency_key: idempotency_key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned()),
        body_hash: draw::hash(body),
        stream: field("stream").and_then(Value::as_bool).unwrap_or(false),
        attempt: 0,
        item: None,
        path: parts.uri.path().to_owned(),
        method: parts.method,
    }
}

/// One for each send that is not equal to another in everything, place in the order of arrival left out.
fn request_id(seed: u64, seen: &Seen) -> String {
    let at = seen.at.as_nanos() as u64;
    format!("req_{:016x}", Draw::keyed(seed ^ at, seen.body_hash, seen.attempt, Purpose::RequestId).next())
}
