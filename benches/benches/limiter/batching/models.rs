//! The servers: those that the law was tuned on, and those that it has not met.

use super::server::Model;

/// The law may be changed for the sake of these.
pub(super) const TUNING: [Model; 10] = [
    Model { name: "small model, big card", base: 12.0, per_call: 0.05, slots: 256, ..Model::PLAIN },
    Model {
        name: "big model, calls of 20 s",
        base: 45.0,
        per_call: 0.3,
        per_prompt_token: 0.15,
        slots: 160,
        answer: (350.0, 0.5),
        ..Model::PLAIN
    },
    Model { name: "falls past 60", past_knee: 0.02, knee: 60, ..Model::PLAIN },
    Model {
        name: "cache overflows (preempts)",
        base: 18.0,
        per_call: 0.08,
        per_prompt_token: 0.25,
        cache: 12_000,
        preempts: true,
        prompt: (87.0, 0.62),
        answer: (250.0, 0.6),
        ..Model::PLAIN
    },
    Model { name: "proxy, 40 at once, else 503", per_call: 0.0, slots: 40, queue: 0, ..Model::PLAIN },
    Model {
        name: "48 workers, heavy tails, work untold",
        per_call: 0.0,
        per_prompt_token: 0.0,
        slots: 48,
        answer: (60.0, 0.8),
        jitter: 0.8,
        tells_work: false,
        ..Model::PLAIN
    },
    Model {
        name: "half as fast from 150 s on",
        base: 15.0,
        per_call: 0.2,
        slots: 96,
        speeds: &[(150.0, 0.5)],
        ..Model::PLAIN
    },
    Model {
        name: "stalls from 120 to 180 s",
        base: 15.0,
        per_call: 0.15,
        slots: 128,
        speeds: &[(120.0, 0.0), (180.0, 1.0)],
        ..Model::PLAIN
    },
    Model {
        name: "200 slots, 503 past 300",
        base: 30.0,
        per_call: 0.5,
        per_prompt_token: 0.05,
        slots: 200,
        queue: 100,
        ..Model::PLAIN
    },
    Model { name: "four slots", base: 12.0, per_call: 0.5, slots: 4, answer: (80.0, 0.5), ..Model::PLAIN },
];

/// The law was not changed for the sake of these. They were fixed before it was tuned.
pub(super) const HELD_OUT: [Model; 7] = [
    Model {
        name: "short answers, cache set aside",
        base: 8.0,
        per_call: 0.12,
        per_prompt_token: 0.03,
        cache: 40_000,
        answer: (64.0, 0.4),
        ..Model::PLAIN
    },
    Model {
        name: "long prompts, preempts, calls of 15 s",
        base: 25.0,
        per_call: 0.2,
        per_prompt_token: 0.1,
        cache: 60_000,
        preempts: true,
        prompt: (800.0, 0.7),
        answer: (400.0, 0.6),
        ..Model::PLAIN
    },
    Model {
        name: "96 slots, 32 wait, else 503",
        base: 18.0,
        per_call: 0.25,
        slots: 96,
        queue: 32,
        answer: (150.0, 0.7),
        ..Model::PLAIN
    },
    Model {
        name: "processors, falls past 24",
        base: 10.0,
        per_call: 1.5,
        per_prompt_token: 0.2,
        past_knee: 0.03,
        knee: 16,
        answer: (100.0, 0.5),
        ..Model::PLAIN
    },
    Model {
        name: "gateway, 100 at once, heavy tails, untold",
        base: 16.0,
        per_call: 0.0,
        per_prompt_token: 0.0,
        slots: 100,
        answer: (90.0, 0.9),
        jitter: 0.6,
        tells_work: false,
        way: 60.0,
        ..Model::PLAIN
    },
    Model {
        name: "twice as fast from 100 s, stalls at 200 s",
        base: 22.0,
        per_call: 0.3,
        slots: 200,
        speeds: &[(0.0, 0.5), (100.0, 1.0), (200.0, 0.0), (220.0, 1.0)],
        ..Model::PLAIN
    },
    Model {
        name: "tokens at uneven pace, calls of 10 s",
        base: 35.0,
        per_call: 0.4,
        per_prompt_token: 0.08,
        slots: 128,
        answer: (200.0, 0.7),
        jitter: 0.3,
        ..Model::PLAIN
    },
];
