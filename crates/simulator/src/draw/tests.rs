//! Draws: the published numbers, the key, and the shape of what is drawn.

use super::*;

#[test]
fn hash_is_the_published_fnv_1a() {
    assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn numbers_are_the_published_splitmix64() {
    let mut draw = Draw(1_234_567);
    assert_eq!(draw.next(), 6_457_827_717_110_365_317);
    assert_eq!(draw.next(), 3_203_168_211_198_807_973);
}

#[test]
fn every_part_of_the_key_matters() {
    let first = |seed, body, attempt, purpose| Draw::keyed(seed, body, attempt, purpose).next();
    let base = first(1, 2, 3, Purpose::Rule(0));
    assert_eq!(base, first(1, 2, 3, Purpose::Rule(0)));
    for other in [
        first(2, 2, 3, Purpose::Rule(0)),
        first(1, 3, 3, Purpose::Rule(0)),
        first(1, 2, 4, Purpose::Rule(0)),
        first(1, 2, 3, Purpose::Rule(1)),
        first(1, 2, 3, Purpose::Latency),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn distributions_have_their_moments() {
    let mut draw = Draw::keyed(7, 0, 1, Purpose::Latency);
    let n = 20_000;
    let mean = (0..n).map(|_| draw.unit()).sum::<f64>() / f64::from(n);
    assert!((mean - 0.5).abs() < 0.01, "{mean}");
    let normals: Vec<f64> = (0..n).map(|_| draw.normal()).collect();
    let mean = normals.iter().sum::<f64>() / f64::from(n);
    let variance = normals.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / f64::from(n);
    assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    assert!((0..1_000).all(|_| (3..=5).contains(&draw.between(3, 5))));
    assert_eq!(draw.between(9, 2), 9);
    draw.between(0, u64::MAX);
}
