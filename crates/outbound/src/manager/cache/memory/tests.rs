//! Answers in memory: which are dropped when there is no room.

use http::{HeaderMap, StatusCode};

use super::*;

fn reply(bytes: usize) -> Reply {
    Reply { status: StatusCode::OK, headers: HeaderMap::new(), body: vec![b'x'; bytes].into() }
}

fn key(byte: u8) -> Key {
    Key([byte; 32])
}

/// Compares it with a simple list in the order of use, over many random operations.
#[test]
fn it_keeps_what_was_used_last_and_fits() {
    const MOST: usize = 10_000;
    let memory = Memory::new(MOST);
    let mut model: Vec<(u8, usize)> = Vec::new();
    let mut draw = 1_u64;
    for _ in 0..20_000 {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (name, bytes) = (((draw >> 33) % 24) as u8, ((draw >> 45) % 3_000) as usize);
        if (draw >> 60).is_multiple_of(2) {
            let found = memory.find(key(name)).map(|(reply, _)| reply.body.len());
            let at = model.iter().position(|(known, _)| *known == name);
            assert_eq!(found, at.map(|at| model[at].1));
            if let Some(at) = at {
                let entry = model.remove(at);
                model.push(entry);
            }
        } else {
            memory.keep(key(name), reply(bytes), SystemTime::UNIX_EPOCH);
            model.retain(|(known, _)| *known != name);
            model.push((name, bytes));
            while model.iter().map(|(_, bytes)| bytes + OVERHEAD).sum::<usize>() > MOST {
                model.remove(0);
            }
        }
        let state = memory.state.lock();
        assert_eq!(state.entries.len(), model.len());
        assert_eq!(state.by_use.len(), model.len());
        assert_eq!(state.bytes, model.iter().map(|(_, bytes)| bytes + OVERHEAD).sum::<usize>());
    }
}

#[test]
fn what_is_larger_than_all_the_room_takes_the_place_of_none() {
    let memory = Memory::new(2_000);
    memory.keep(key(1), reply(100), SystemTime::UNIX_EPOCH);
    memory.keep(key(2), reply(2_000), SystemTime::UNIX_EPOCH);
    assert!(memory.find(key(1)).is_some() && memory.find(key(2)).is_none());
}
