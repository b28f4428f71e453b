//! Send, Sync and Unpin of every public type.

use outbound_simulator::{
    Batching, Builder, Charging, Dimension, Entry, Fault, KeySettings, Latency, Ledger, LimitHeaders,
    ModelSettings, Oracle, OtherUsers, Outcome, Pipe, Plan, Refusal, Seen, Simulator, Trouble, Window,
    Workload,
};

fn is_plain<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}

#[test]
fn public_types_go_anywhere() {
    is_plain::<Batching>();
    is_plain::<outbound_simulator::Scenario>();
    is_plain::<outbound_simulator::ScenarioError>();
    is_plain::<outbound_simulator::ScenarioWorkload>();
    is_plain::<outbound_simulator::Expect>();
    is_plain::<Builder>();
    is_plain::<Charging>();
    is_plain::<ModelSettings>();
    is_plain::<Oracle>();
    is_plain::<Pipe>();
    is_plain::<Plan>();
    is_plain::<Trouble>();
    is_plain::<Window>();
    is_plain::<Dimension>();
    is_plain::<Entry>();
    is_plain::<Fault>();
    is_plain::<KeySettings>();
    is_plain::<Latency>();
    is_plain::<Ledger>();
    is_plain::<LimitHeaders>();
    is_plain::<OtherUsers>();
    is_plain::<Outcome>();
    is_plain::<Refusal>();
    is_plain::<Seen>();
    is_plain::<Simulator>();
    is_plain::<Workload>();
}

#[test]
fn futures_of_the_handle_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let simulator = Simulator::builder().build();
    is_send(&simulator.listen("127.0.0.1:0"));
    is_send(&simulator.shutdown());
}
