//! The characters inside strings.

/// `bytes` from the first quote or backslash on.
#[inline(always)]
pub(super) fn behind_plain(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    // Most strings are short: names, ids, kinds.
    for _ in 0..SHORT / 8 {
        let Some((chunk, behind)) = rest.split_first_chunk::<8>() else { break };
        match first_special(*chunk) {
            Some(at) => return &rest[at..],
            None => rest = behind,
        }
    }
    behind_long(rest)
}

/// The same for a long text. It takes 64 bytes at a time, which the compiler compares at once, and then eight.
#[inline(never)]
fn behind_long(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((chunk, behind)) = rest.split_first_chunk::<64>() {
        // The result has a zero byte where the text has one of the two characters.
        let least = chunk.iter().fold(0xFF, |least, &byte| (byte ^ b'"').min(byte ^ b'\\').min(least));
        if least == 0 {
            break;
        }
        rest = behind;
    }
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        match first_special(*chunk) {
            Some(at) => return &rest[at..],
            None => rest = behind,
        }
    }
    while let [first, behind @ ..] = rest
        && !matches!(first, b'"' | b'\\')
    {
        rest = behind;
    }
    rest
}

/// Where the first quote or backslash is. A byte of a word is zero where `(word - 0x01..) & !word` has its high bit set,
/// and the lowest bit that is set is always right. Neither character has its high bit set, so the high bits of the word
/// itself can be used in the second half.
#[inline(always)]
fn first_special(chunk: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = ONES << 7;

    let word = u64::from_le_bytes(chunk);
    let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let slashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let hits = (quotes | slashes) & !word & HIGHS;
    (hits != 0).then_some(hits.trailing_zeros() as usize / 8)
}

/// How many bytes there are before the first quote or backslash.
fn plain(bytes: &[u8]) -> usize {
    bytes.len() - behind_plain(bytes).len()
}

/// As long as most strings are.
const SHORT: usize = 24;
/// How many bytes are counted side by side, and how many such rows at a time. One byte counts 8 at most.
const ROW: usize = 16;
const ROWS: usize = 31;

/// A quarter for each character of one byte, two for two bytes, four for three, eight for four.
pub(super) fn quarters(raw: &[u8]) -> u64 {
    if raw.is_ascii() {
        return raw.len() as u64;
    }
    // Bytes that continue a character count nothing. In each column the sum stays below 256, so that the compiler
    // can add whole rows of bytes at once.
    let quarters = |byte: u8| {
        u8::from(byte < 0x80)
            + 2 * u8::from(byte >= 0xC0)
            + 2 * u8::from(byte >= 0xE0)
            + 4 * u8::from(byte >= 0xF0)
    };
    let (rows, tail) = raw.as_chunks::<ROW>();
    let mut sum = 0;
    for rows in rows.chunks(ROWS) {
        let mut columns = [0u8; ROW];
        for row in rows {
            for (column, &byte) in columns.iter_mut().zip(row) {
                *column += quarters(byte);
            }
        }
        sum += columns.iter().map(|&column| u64::from(column)).sum::<u64>();
    }
    sum + tail.iter().map(|&byte| u64::from(quarters(byte))).sum::<u64>()
}

/// The same for a text with escapes. Each escape counts as the character that it stands for.
pub(super) fn quarters_escaped(raw: &[u8]) -> u64 {
    let mut sum = 0;
    let mut rest = raw;
    loop {
        let length = plain(rest);
        sum += quarters(&rest[..length]);
        let Some((char, read)) = escape(&rest[length..]) else { return sum };
        let mut buffer = [0; 4];
        sum += quarters(char.encode_utf8(&mut buffer).as_bytes());
        rest = &rest[length + read..];
    }
}

pub(super) fn unescape(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        let length = plain(rest);
        text.push_str(&String::from_utf8_lossy(&rest[..length]));
        let Some((char, read)) = escape(&rest[length..]) else { return text };
        text.push(char);
        rest = &rest[length + read..];
    }
}

/// The character of the escape at the start of `raw`, and the length of the escape. `None` at the end. If the escape is
/// not valid, the character behind the backslash is kept.
fn escape(raw: &[u8]) -> Option<(char, usize)> {
    let [_, kind, ..] = raw else { return (!raw.is_empty()).then_some(('\u{FFFD}', 1)) };
    let char = match kind {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'u' => return Some(unicode(raw)),
        0x80.. => return Some(('\u{FFFD}', 1)),
        other => char::from(*other),
    };
    Some((char, 2))
}

/// `\uXXXX`, or two of them that are one character. Half a pair is U+FFFD.
fn unicode(raw: &[u8]) -> (char, usize) {
    let Some(first) = hex(raw) else { return ('\u{FFFD}', 2) };
    if let 0xD800..0xDC00 = first
        && let Some(second @ 0xDC00..0xE000) = hex(&raw[6..])
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or('\u{FFFD}'), 12);
    }
    (char::from_u32(first).unwrap_or('\u{FFFD}'), 6)
}

fn hex(raw: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = raw else { return None };
    let digits = digits.first_chunk::<4>()?;
    digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}
