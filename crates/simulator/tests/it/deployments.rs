//! Faults of one key, one model or one path.

use outbound_simulator::{Builder, Fault, KeySettings, ModelSettings, Refusal, Simulator};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{CHAT, Client, chat, secs};

/// The status that each of two models with each of two keys gets.
async fn statuses(simulator: &Simulator) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (index, status) in statuses.iter_mut().enumerate() {
        let (key, model) = (["sk-one", "sk-two"][index / 2], ["small", "large"][index % 2]);
        let mut client = Client::to(simulator).await.with("authorization", &format!("Bearer {key}"));
        let mut body = chat("a");
        body["model"] = json!(model);
        *status = client.chat(&body).await.status.as_u16();
    }
    statuses
}

fn with(key: KeySettings, model: ModelSettings) -> Builder {
    let builder = Simulator::builder().key("sk-one").key_with("sk-two", key);
    builder.model("small", ModelSettings::new()).model("large", model)
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_a_key_or_a_model_strikes_there_alone() {
    let (key, model) = (KeySettings::new, ModelSettings::new);
    let overloaded = || Refusal::status(529);
    assert_eq!(statuses(&with(key(), model()).build()).await, [200; 4]);
    assert_eq!(statuses(&with(key().fault(overloaded(), 1.0), model()).build()).await, [200, 200, 529, 529]);
    assert_eq!(statuses(&with(key(), model().fault(overloaded(), 1.0)).build()).await, [200, 529, 200, 529]);
    // The builder's rules go first, then those of the key, then those of the model.
    let both = || with(key().fault(Refusal::status(500), 1.0), model().fault(overloaded(), 1.0));
    assert_eq!(statuses(&both().build()).await, [200, 529, 500, 500]);
    assert_eq!(statuses(&both().fault(Refusal::status(502), 1.0).build()).await, [502; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_a_key_or_a_model_has_its_time() {
    let key = KeySettings::new().fault_during(Refusal::status(503), secs(10)..secs(20));
    let model = ModelSettings::new().fault_during(Refusal::status(529), secs(15)..secs(25));
    let simulator = with(key, model).build();
    for (at, expected) in [
        (0, [200; 4]),
        (10, [200, 200, 503, 503]),
        (15, [200, 529, 503, 503]),
        (20, [200, 529, 200, 529]),
        (25, [200; 4]),
    ] {
        sleep(secs(at).saturating_sub(simulator.elapsed())).await;
        assert_eq!(statuses(&simulator).await, expected, "at {at} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_sees_the_number_of_the_key_the_model_and_the_path() {
    let choose = |seen: &outbound_simulator::Seen| {
        let is_one = seen.key == Some(1) && seen.model.as_deref() == Some("large");
        (is_one || seen.path.starts_with("/eu/")).then(|| Fault::from(Refusal::status(529)))
    };
    let simulator = with(KeySettings::new(), ModelSettings::new()).fault_when(choose).build();
    assert_eq!(statuses(&simulator).await, [200, 200, 200, 529]);
    let mut client = Client::to(&simulator).await.with("authorization", "Bearer sk-one");
    let mut body = chat("a");
    body["model"] = json!("small");
    assert_eq!(client.post(&format!("/eu{CHAT}"), &body).await.status, 529);
    assert_eq!(client.post(&format!("/us{CHAT}"), &body).await.status, 200);
}

/// The draws of a key or a model change nothing for other keys and models, and nothing for the builder's rules.
#[tokio::test(start_paused = true)]
async fn each_rule_draws_for_itself() {
    async fn struck(builder: Builder) -> Vec<bool> {
        let simulator = builder.seed(7).build();
        let mut client = Client::to(&simulator).await.with("authorization", "Bearer sk-two");
        let mut struck = Vec::new();
        for id in 0..400 {
            let mut body = chat(&id.to_string());
            body["model"] = json!("large");
            struck.push(client.chat(&body).await.status == 500);
        }
        struck
    }
    let fault = || Refusal::status(500);
    let none = || with(KeySettings::new(), ModelSettings::new());
    let builder = struck(none().fault(fault(), 0.25)).await;
    let key = struck(with(KeySettings::new().fault(fault(), 0.25), ModelSettings::new())).await;
    let model = struck(with(KeySettings::new(), ModelSettings::new().fault(fault(), 0.25))).await;
    for struck in [&builder, &key, &model] {
        let count = struck.iter().filter(|struck| **struck).count();
        assert!((70..130).contains(&count), "{count} of 400");
    }
    assert!(builder != key && key != model && builder != model);
    let all = KeySettings::new().fault(fault(), 0.25);
    let all = struck(with(all, ModelSettings::new().fault(fault(), 0.25)).fault(fault(), 0.25)).await;
    let any = |index: usize| builder[index] || key[index] || model[index];
    assert!((0..400).all(|index| all[index] == any(index)));
}
