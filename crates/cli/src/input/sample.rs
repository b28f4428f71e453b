//! A random sample of the lines of a file.

use std::collections::BinaryHeap;

/// Gives each line a random number, and keeps the `most` lines with the smallest numbers. It needs 16 bytes for each line that
/// is kept, and none for the others.
pub(super) struct Sample {
    most: usize,
    next: u64,
    kept: BinaryHeap<(u64, u64)>,
}

impl Sample {
    pub(super) fn new(most: u64) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), next: 0, kept: BinaryHeap::new() }
    }

    /// Adds the next line.
    pub(super) fn add(&mut self) {
        let draw = (draw(self.next), self.next);
        self.next += 1;
        if self.kept.len() < self.most {
            self.kept.push(draw);
        } else if let Some(mut largest) = self.kept.peek_mut()
            && draw < *largest
        {
            *largest = draw;
        }
    }

    /// The lines of the sample, counted from 0, in order.
    pub(super) fn into_lines(self) -> Vec<u64> {
        let mut lines: Vec<_> = self.kept.into_iter().map(|(_, line)| line).collect();
        lines.sort_unstable();
        lines
    }
}

/// A random number for a line (`SplitMix64`): the same each time.
fn draw(line: u64) -> u64 {
    let mut bits = line.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(most: u64, of: u64) -> Vec<u64> {
        let mut sample = Sample::new(most);
        (0..of).for_each(|_| sample.add());
        sample.into_lines()
    }

    #[test]
    fn it_has_so_many_lines_and_the_same_each_time() {
        assert_eq!(sample(10, 1_000).len(), 10);
        assert_eq!(sample(10, 1_000), sample(10, 1_000));
        assert_eq!(sample(10, 4), [0, 1, 2, 3]);
    }

    #[test]
    fn it_is_drawn_evenly() {
        let lines = sample(1_000, 100_000);
        for tenth in 0..10 {
            let there = lines.iter().filter(|line| **line / 10_000 == tenth).count();
            assert!((60..=140).contains(&there), "{there} in tenth {tenth}");
        }
    }
}
