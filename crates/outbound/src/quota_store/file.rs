//! The text that a row is kept as: a line with its length and checksum, the name of the clock, numbers, the name of the scope.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use super::{Grant, Holder, Row, Rule, Stage};

const KIND: &str = "outbound-quota";
const VERSION: u32 = 1;

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Row(Row),
    /// Nothing, or something that was damaged, or that is of before a restart of the machine.
    Nothing,
    /// Something that has to stay as it is, and why.
    Foreign(&'static str),
}

/// FNV-1a with 128 bits: the same in every version of the program, and any byte that is another changes it.
pub(super) fn checksum(bytes: &[u8]) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = (1 << 88) + 0x13b;
    bytes.iter().fold(START, |sum, byte| (sum ^ u128::from(*byte)).wrapping_mul(PRIME))
}

pub(super) fn write(row: &Row, clock: &str, scope: &str) -> Vec<u8> {
    let mut numbers = Numbers(Vec::new());
    numbers.row(row);
    let body = format!("{clock}\n{}\n{scope}", numbers.0.join(" "));
    format!("{KIND} {VERSION} {} {:032x}\n{body}", body.len(), checksum(body.as_bytes())).into_bytes()
}

pub(super) fn read(bytes: &[u8], clock: &str, scope: &str) -> Found {
    let Some((head, body)) = bytes.iter().position(|byte| *byte == b'\n').map(|end| bytes.split_at(end))
    else {
        return Found::Nothing;
    };
    let Ok(head) = str::from_utf8(head) else { return Found::Nothing };
    let mut head = head.split(' ');
    if head.next() != Some(KIND) {
        return Found::Nothing;
    }
    match head.next().and_then(|version| version.parse::<u32>().ok()) {
        Some(version) if version > VERSION => {
            return Found::Foreign("a newer version of this program wrote it");
        }
        Some(VERSION) => {}
        _ => return Found::Nothing,
    }
    let length = head.next().and_then(|length| length.parse::<usize>().ok());
    let Some(body) = length.and_then(|length| body.get(1..)?.get(..length)) else { return Found::Nothing };
    if head.next() != Some(&*format!("{:032x}", checksum(body))) {
        return Found::Nothing;
    }
    let Ok(body) = str::from_utf8(body) else { return Found::Nothing };
    let mut parts = body.splitn(3, '\n');
    let (Some(its_clock), Some(numbers), Some(its_scope)) = (parts.next(), parts.next(), parts.next()) else {
        return Found::Nothing;
    };
    if its_scope != scope {
        return Found::Foreign("it holds the quota of a scope with another name");
    }
    if its_clock != clock {
        return Found::Nothing;
    }
    Reader(numbers.split(' ')).row().map_or(Found::Nothing, Found::Row)
}

struct Numbers(Vec<String>);

impl Numbers {
    fn put(&mut self, number: impl fmt::Display) {
        self.0.push(number.to_string());
    }

    fn list(&mut self, list: &[u64]) {
        list.iter().for_each(|number| self.put(number));
    }

    fn option(&mut self, option: Option<u64>) {
        self.put(u8::from(option.is_some()));
        self.put(option.unwrap_or(0));
    }

    fn time(&mut self, time: Duration) {
        self.put(time.as_micros());
    }

    fn row(&mut self, row: &Row) {
        self.list(&[row.generation, row.at]);
        self.put(row.rules.len());
        for rule in &row.rules {
            self.put(rule.amount);
            self.time(rule.per);
            self.put(rule.burst);
        }
        row.levels.iter().for_each(|level| self.put(level));
        let (stage, number) = match row.stage {
            Stage::Open => (0, None),
            Stage::Paused { until } => (1, Some(until)),
            Stage::Probing { holder } => (2, holder),
            Stage::Half { until } => (3, Some(until)),
        };
        self.put(stage);
        self.option(number);
        self.put(row.holders.len());
        for (id, holder) in &row.holders {
            self.list(&[*id, holder.seq]);
            self.answer(&holder.answer);
            self.list(&[holder.answered, holder.expires, holder.spends_until, holder.served]);
            self.put(holder.waits_since);
            self.list(&holder.outstanding);
            self.list(&holder.wanted);
            self.list(&holder.least);
            self.list(&holder.average);
        }
    }

    fn answer(&mut self, answer: &Grant) {
        self.list(&answer.granted);
        self.time(answer.ttl);
        self.time(answer.next_poll);
        self.put(u8::from(answer.pause.is_some()));
        self.time(answer.pause.unwrap_or_default());
        self.put(answer.generation);
        self.put(answer.holders);
    }
}

/// Reads what [`Numbers`] wrote. `None` where that is something else.
struct Reader<'a>(std::str::Split<'a, char>);

impl Reader<'_> {
    fn next<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    fn list<T: FromStr>(&mut self, length: usize) -> Option<Vec<T>> {
        (0..length).map(|_| self.next()).collect()
    }

    fn option(&mut self) -> Option<Option<u64>> {
        let is_some = self.next::<u8>()? != 0;
        self.next().map(|number| is_some.then_some(number))
    }

    fn time(&mut self) -> Option<Duration> {
        self.next().map(Duration::from_micros)
    }

    fn row(&mut self) -> Option<Row> {
        let (generation, at) = (self.next()?, self.next()?);
        let all = self.next()?;
        let rule = |_| Some(Rule { amount: self.next()?, per: self.time()?, burst: self.next()? });
        let rules = (0..all).map(rule).collect::<Option<_>>()?;
        let levels = self.list(all)?;
        let stage = match (self.next()?, self.option()?) {
            (0, None) => Stage::Open,
            (1, Some(until)) => Stage::Paused { until },
            (2, holder) => Stage::Probing { holder },
            (3, Some(until)) => Stage::Half { until },
            _ => return None,
        };
        let mut holders = BTreeMap::new();
        for _ in 0..self.next::<usize>()? {
            holders.insert(self.next()?, self.holder(all)?);
        }
        self.0.next().is_none().then_some(Row { generation, at, rules, levels, holders, stage })
    }

    fn holder(&mut self, all: usize) -> Option<Holder> {
        let seq = self.next()?;
        let answer = Grant {
            granted: self.list(all)?,
            ttl: self.time()?,
            next_poll: self.time()?,
            pause: {
                let is_some = self.next::<u8>()? != 0;
                self.time().map(|time| is_some.then_some(time))?
            },
            generation: self.next()?,
            holders: self.next()?,
        };
        Some(Holder {
            seq,
            answer,
            answered: self.next()?,
            expires: self.next()?,
            spends_until: self.next()?,
            served: self.next()?,
            waits_since: self.next()?,
            outstanding: self.list(all)?,
            wanted: self.list(all)?,
            least: self.list(all)?,
            average: self.list(all)?,
        })
    }
}
