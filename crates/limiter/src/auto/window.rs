//! What the calls that ended in a time say about the server.

/// The smallest error of a rate, as a share of it. More calls do not make it smaller, because what disturbs one call
/// disturbs all of them.
const LEAST_ERROR: f64 = 0.005;

/// One point of the curve: the work per second with this many in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) in_flight: f64,
    pub(super) rate: f64,
    /// The standard error of the rate, as a share of it.
    pub(super) error: f64,
}

/// Sums over the calls of a window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    pub(super) calls: usize,
    pub(super) work: f64,
    time: f64,
    time_squared: f64,
    // Sums of the number in flight during a call, times its seconds, times its work, and so on.
    in_flight_time: f64,
    in_flight_work: f64,
    in_flight_work_squared: f64,
    in_flight_work_time: f64,
}

impl Window {
    /// Adds a call: its work, its seconds, and the average number in flight during it.
    pub(super) fn add(&mut self, work: f64, time: f64, in_flight: f64) {
        let in_flight_work = in_flight * work;
        self.calls += 1;
        self.work += work;
        self.time += time;
        self.time_squared += time * time;
        self.in_flight_time += in_flight * time;
        self.in_flight_work += in_flight_work;
        self.in_flight_work_squared += in_flight_work * in_flight_work;
        self.in_flight_work_time += in_flight_work * time;
    }

    /// The seconds that a call took, on average.
    pub(super) fn mean_time(&self) -> f64 {
        self.time / self.calls.max(1) as f64
    }

    /// The point by Little's law: each call does `work / time` per second, and this is multiplied by the number in flight.
    /// The error is that of a ratio of two sums.
    pub(super) fn point(&self) -> Option<Point> {
        if self.calls < 2 || self.in_flight_work <= 0.0 || self.time <= 0.0 {
            return None;
        }
        let rate = self.in_flight_work / self.time;
        let error = self.spread(rate) / (self.calls as f64).sqrt();
        Some(Point { in_flight: self.in_flight_time / self.time, rate, error: error.hypot(LEAST_ERROR) })
    }

    /// Whether the work of a call says how long the call takes, as tokens do. Then a few calls are enough for the rate, and
    /// it does not matter that short calls end first.
    pub(super) fn is_even(&self) -> bool {
        if self.calls < 2 || self.in_flight_work <= 0.0 || self.time <= 0.0 {
            return false;
        }
        let spread = self.spread(self.in_flight_work / self.time);
        let (calls, mean) = (self.calls as f64, self.mean_time());
        let times = (self.time_squared / calls / (mean * mean) - 1.0).max(0.0).sqrt();
        spread < 0.1 || spread < 0.7 * times
    }

    /// The standard deviation of the rate of a single call, as a share of the rate.
    fn spread(&self, rate: f64) -> f64 {
        let squares = self.in_flight_work_squared - 2.0 * rate * self.in_flight_work_time
            + rate * rate * self.time_squared;
        let calls = self.calls as f64;
        (squares.max(0.0) / (calls - 1.0)).sqrt() * calls / self.in_flight_work
    }
}

impl Point {
    /// The gain from this point to another, and its standard error: by how many per cent the rate is higher there for each
    /// per cent more in flight.
    pub(super) fn gain_to(&self, other: &Self) -> (f64, f64) {
        let step = (other.in_flight / self.in_flight).ln();
        ((other.rate / self.rate).ln() / step, self.error.hypot(other.error) / step.abs())
    }

    /// Whether two points of the same limit differ so much that the server must have changed.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        let step = (other.rate / self.rate).ln().abs();
        step > 0.15 && step > 4.0 * self.error.hypot(other.error)
    }
}
