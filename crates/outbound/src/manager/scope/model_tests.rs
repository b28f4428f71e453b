use std::time::Duration;

use super::*;
use crate::ErrorKind;

const SECOND: Duration = Duration::from_secs(1);

fn model() -> Model {
    Model::new(None, QuotaLimiter::builder().build().expect("no limits"), None, 8)
}

fn why(until: Option<Instant>) -> Stopped {
    Stopped { kind: ErrorKind::RateLimited, message: String::from("a long pause"), until }
}

#[test]
fn a_pause_is_not_shortened_and_ends() {
    let (model, now) = (model(), Instant::now());
    model.stop(why(Some(now + SECOND * 9)));
    model.stop(why(Some(now + SECOND)));
    assert_eq!(model.stopped(now + SECOND * 8), Some(why(Some(now + SECOND * 9))));
    assert_eq!(model.look(now + SECOND * 8), Err(why(Some(now + SECOND * 9))));
    model.stop(why(Some(now + SECOND * 20)));
    assert_eq!(model.stopped(now + SECOND * 19), Some(why(Some(now + SECOND * 20))));
    assert_eq!(model.stopped(now + SECOND * 20), None, "its time is over");
    assert_eq!(model.look(now + SECOND * 20), Ok(Admission::Go));
    model.stop(why(Some(now + SECOND * 99)));
    model.resume();
    assert_eq!(model.stopped(now + SECOND * 21), None);
}
