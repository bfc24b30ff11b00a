//! The billing portal, over HTTP and as a browser would.

use crate::checkout::{browse, retrieve, subscribe, text};
use crate::support::Stripe;

#[test]
fn the_portal_changes_the_payment_method() {
    let stripe = Stripe::start();
    let customer = stripe
        .post("/v1/customers", &[("name", "Jenny Rosen")])
        .id();
    let form = [
        ("customer", customer.as_str()),
        ("return_url", "https://shop.example/account"),
    ];
    let session = stripe.post("/v1/billing_portal/sessions", &form).ok();
    let url = text(&session, "url").to_owned();
    let page = browse(&stripe, "GET", &url, &[]);
    assert!(page.text.contains("None yet") && page.text.contains("https://shop.example/account"));

    let change = |method: &str| {
        let form = [("action", "payment_method"), ("payment_method", method)];
        browse(&stripe, "POST", &url, &form)
    };
    let refused = change("pm_card_chargeDeclined");
    assert!(
        refused.text.contains("Your card was declined."),
        "{}",
        refused.text
    );
    assert_eq!(change("pm_card_visa").status, 303);
    assert!(
        browse(&stripe, "GET", &url, &[])
            .text
            .contains("Visa ending in 4242")
    );
    // With 3-D Secure the bank stands in between.
    let bank = change("pm_card_authenticationRequired");
    let bank = bank.header("location").unwrap().to_owned();
    let returned = browse(&stripe, "POST", &bank, &[("answer", "approve")]);
    let page = browse(&stripe, "GET", returned.header("location").unwrap(), &[]);
    assert!(page.text.contains("Visa ending in 3184"), "{}", page.text);
    let customer = stripe.get(&format!("/v1/customers/{customer}")).ok();
    let default = text(&customer["invoice_settings"], "default_payment_method").to_owned();
    let method = stripe.get(&format!("/v1/payment_methods/{default}")).ok();
    assert_eq!(method["card"]["last4"], "3184");
    assert_eq!(
        browse(&stripe, "GET", "/p/session/test_nonsense", &[]).status,
        404
    );
}

#[test]
fn portal_configurations_are_made_and_changed() {
    let stripe = Stripe::start();
    let form = [
        ("business_profile[headline]", "Welcome"),
        ("features[subscription_cancel][enabled]", "true"),
        ("features[subscription_cancel][mode]", "immediately"),
    ];
    let made = stripe.post("/v1/billing_portal/configurations", &form).ok();
    assert_eq!(
        made["features"]["subscription_cancel"]["mode"],
        "immediately"
    );
    assert_eq!(made["features"]["invoice_history"]["enabled"], false);
    let path = format!("/v1/billing_portal/configurations/{}", text(&made, "id"));
    let form = [
        ("features[invoice_history][enabled]", "true"),
        ("active", "false"),
    ];
    let changed = stripe.post(&path, &form).ok();
    assert_eq!(changed["features"]["subscription_cancel"]["enabled"], true);
    assert_eq!(changed["features"]["invoice_history"]["enabled"], true);
    let customer = stripe.post("/v1/customers", &[]).id();
    let form = [
        ("customer", customer.as_str()),
        ("configuration", text(&made, "id")),
    ];
    assert_eq!(
        stripe.post("/v1/billing_portal/sessions", &form).error(400)["param"],
        "configuration"
    );
}

#[test]
fn the_portal_cancels_and_renews() {
    let stripe = Stripe::start();
    let session = subscribe(&stripe, &[]);
    stripe
        .post(
            &format!("/_simulator/checkout/{}/complete", text(&session, "id")),
            &[],
        )
        .ok();
    let done = retrieve(&stripe, &session);
    let form = [("customer", text(&done, "customer"))];
    let portal = stripe.post("/v1/billing_portal/sessions", &form).ok();
    let url = text(&portal, "url").to_owned();
    let page = browse(&stripe, "GET", &url, &[]);
    assert!(
        page.text.contains("Gold &lt;plan&gt; (active)"),
        "{}",
        page.text
    );
    assert!(page.text.contains("/i/acct_"), "{}", page.text);
    let id = text(&done, "subscription");
    let act = |action: &str| {
        let form = [("action", action), ("subscription", id)];
        assert_eq!(browse(&stripe, "POST", &url, &form).status, 303);
        stripe.get(&format!("/v1/subscriptions/{id}")).ok()["cancel_at_period_end"].clone()
    };
    assert_eq!(act("cancel"), true);
    assert_eq!(act("renew"), false);
    // Nobody else's subscription.
    let form = [("action", "cancel"), ("subscription", "sub_none")];
    assert!(
        browse(&stripe, "POST", &url, &form)
            .text
            .contains("No such subscription")
    );
}

#[test]
fn a_portal_flow_leads_where_it_is_told() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let form = [
        ("customer", customer.as_str()),
        ("flow_data[type]", "payment_method_update"),
        ("flow_data[after_completion][type]", "redirect"),
        (
            "flow_data[after_completion][redirect][return_url]",
            "https://shop.example/saved",
        ),
    ];
    let session = stripe.post("/v1/billing_portal/sessions", &form).ok();
    assert_eq!(session["flow"]["type"], "payment_method_update");
    let form = [
        ("action", "payment_method"),
        ("payment_method", "pm_card_visa"),
    ];
    let done = browse(&stripe, "POST", text(&session, "url"), &form);
    assert_eq!(
        done.header("location").unwrap(),
        "https://shop.example/saved"
    );
}
