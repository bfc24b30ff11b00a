//! A simulator for one test, and its admin routes.

use stripe_simulator::Simulator;

/// Starts one whose answers are checked against Stripe's response shapes.
pub(crate) fn start() -> Simulator {
    Simulator::builder().check_responses(true).start().unwrap()
}

/// Calls an admin route with a JSON body.
pub(crate) async fn admin(simulator: &Simulator, path: &str, body: &serde_json::Value) {
    let url = format!("{}/_simulator{path}", simulator.base_url());
    let response = reqwest::Client::new()
        .post(url)
        .header("Content-Type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = response.status();
    assert!(
        status.is_success(),
        "{path}: {status} {:?}",
        response.text().await
    );
}
