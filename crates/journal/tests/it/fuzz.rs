//! Tests of random damage at random positions: what is read is a prefix of what was written, or an error is reported.

use outbound_journal::{Journal, JournalBuilder, Memory, Position, Records};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Zero(usize, usize),
    /// Copies bytes from one position over another one, in any segments.
    Copy(usize, usize, usize),
    Add(Vec<u8>),
    Remove,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<usize>(), 1..=255_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Damage::Zero(at, length)),
        2 => (any::<usize>(), any::<usize>(), 1..60_usize).prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
        1 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Damage::Add),
        1 => Just(Damage::Remove),
    ]
}

fn settings() -> JournalBuilder {
    Journal::builder().segment_bytes(120).max_record(200)
}

fn apply(memory: &Memory, which: usize, damage: &Damage) {
    let segments = memory.segments();
    let Some((number, mut bytes)) = segments.get(which % segments.len().max(1)).cloned() else { return };
    let length = bytes.len().max(1);
    match damage {
        Damage::Flip(at, bits) => bytes.iter_mut().skip(at % length).take(1).for_each(|byte| *byte ^= bits),
        Damage::Cut(at) => bytes.truncate(at % length),
        Damage::Zero(at, many) => bytes.iter_mut().skip(at % length).take(*many).for_each(|byte| *byte = 0),
        Damage::Copy(from, to, many) => {
            let all: Vec<_> = segments.iter().flat_map(|(_, bytes)| bytes).copied().collect();
            let from = all.iter().skip(from % all.len().max(1)).take(*many);
            bytes.iter_mut().skip(to % length).zip(from).for_each(|(byte, other)| *byte = *other);
        }
        Damage::Add(more) => bytes.extend(more),
        Damage::Remove => return memory.remove_segment(number),
    }
    memory.set_segment(number, bytes);
}

proptest! {
    #[test]
    fn nothing_is_invented(
        groups in proptest::collection::vec(proptest::collection::vec(0..100_usize, 0..4), 1..6),
        rewritten in any::<bool>(),
        damages in proptest::collection::vec((any::<usize>(), damage()), 1..4),
    ) {
        let memory = Memory::new();
        let journal = settings().open_memory(&memory).expect("opens");
        let mut written = Vec::new();
        if rewritten {
            written = vec![vec![1; 50]; 3];
            journal.rewrite(&written).expect("durable");
        }
        for (number, length) in groups.iter().flat_map(|group| group.iter().chain([&0])).enumerate() {
            let record = vec![u8::try_from(number).expect("few"); *length];
            journal.append(&record).expect("appended");
            written.push(record);
            if *length == 0 {
                journal.commit().expect("durable");
            }
        }
        drop(journal);
        for (which, damage) in &damages {
            apply(&memory, *which, damage);
        }
        let mut found = Vec::new();
        for record in Records::read_memory(&memory).into_iter().flatten() {
            match record {
                Ok(record) => found.push(record.bytes),
                Err(_) => break,
            }
        }
        prop_assert!(written.starts_with(&found), "{found:?} of {written:?}");
        let before = memory.segments();
        match settings().open_memory(&memory) {
            Err(_) => prop_assert_eq!(memory.segments(), before),
            Ok(journal) => {
                prop_assert_eq!(journal.found_records(), found.len() as u64);
                journal.append(b"more").expect("appended");
                journal.close().expect("durable");
                let after: Result<Vec<_>, _> = Records::read_memory(&memory).expect("lists").collect();
                let after: Vec<_> = after.expect("right").into_iter().map(|record| record.bytes).collect();
                found.push(b"more".to_vec());
                prop_assert_eq!(after, found);
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_no_panic(
        segments in proptest::collection::vec((0..6_u64, proptest::collection::vec(any::<u8>(), 0..200)), 0..4),
        place in (0..6_u64, 0..300_u64),
    ) {
        let memory = Memory::new();
        segments.into_iter().for_each(|(number, bytes)| memory.set_segment(number, bytes));
        if let Ok(journal) = settings().open_memory(&memory) {
            let (segment, offset) = place;
            let read = journal.read(Position { segment, offset });
            prop_assert!(read.is_err());
            prop_assert_eq!(journal.found_records(), 0);
        }
    }
}
