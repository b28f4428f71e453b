//! A wait that ends because the request takes another route.

use std::time::Duration;

use outbound_provider::Provider;

use super::*;
use crate::manager::{
    observe::Observer,
    prepared::Prepared,
    scope::{Endpoint, Reachability, Scope},
    settings::Settings,
};

/// Keeps the name of each step, with the model of its event.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<String>>>);

impl Observer for Steps {
    fn event(&self, event: &Event<'_>) {
        let step = format!("{:?}", event.step);
        let name = step.split([' ', '{']).next().unwrap_or_default();
        self.0.lock().push(format!("{name} {}", event.model.unwrap_or("-")));
    }
}

/// A counter of waits by model needs both ends of a wait under the same model.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_route_that_it_is_on() {
    let steps = Steps::default();
    let observers = Arc::from([GuardedObserver::new(steps.clone())]);
    let reach = |_: &str| Arc::new(Reachability::new(Duration::from_secs(30)));
    let endpoint = Endpoint::new(Provider::openai_compatible()).base_url("http://h.test");
    let account = Arc::new(Account::build(endpoint, &Settings::default(), reach).expect("an account"));
    let requests = ["one", "two"].map(|model| Request::get("/").model(model));
    let mut emitter =
        EventEmitter::for_request(&observers, 0, 0, &requests[0], || "p").expect("an observer listens");
    for (route, request) in requests.iter().enumerate() {
        let key = || http::HeaderValue::from_static("key");
        let prepared = Prepared::new(request, &account, &Settings::default(), false, key).expect("valid");
        let scope = Scope::of(&account, prepared.facts.model.as_deref());
        emitter.start_route(route, request, &Destination { scope, prepared });
        emitter.emit(Step::Waiting { reason: Waiting::Limits, at_least: None });
    }
    emitter.ended(&Record::new(Instant::now()), None);
    let expected =
        ["Queued one", "Waiting one", "Waited one", "Rerouted two", "Waiting two", "Waited two", "Ended two"];
    assert_eq!(*steps.0.lock(), expected);
}
