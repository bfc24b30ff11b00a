//! The check of answers, switched by admin route.

use crate::support::Stripe;

#[test]
fn the_check_is_switched_and_listed() {
    let stripe = Stripe::start();
    let state = stripe.get("/_simulator/violations").ok();
    assert_eq!(state["check"], true);
    assert_eq!(state["data"].as_array().map(Vec::len), Some(0));
    let body = br#"{"check": false}"#;
    let off = stripe
        .send_raw("POST", "/_simulator/violations", body, &[])
        .ok();
    assert_eq!(off["check"], false);
}
