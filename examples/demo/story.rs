//! The main job from end to end: from nothing to a portal that sells, a month that is paid, a card
//! that fails, a bank that wants to see who pays, and access that follows.

#![expect(
    clippy::indexing_slicing,
    reason = "indexing JSON gives null for what is not there"
)]

use reqwest::Method;
use serde_json::{Value, json};
use stripe_simulator::{DEFAULT_PUBLISHABLE_KEY, DEFAULT_SECRET_KEY};

use crate::stage::{Outcome, Stage, promised, say};

const PORTAL: &str = "/v1/portals/acme";
const MODULE: &str = "/v1/portals/acme/modules/stripe";
const OPEN: &str = "/v1/portals/acme/invoices?customer=ext:weather-app-inc&status=open";
const CUSTOMER: &str = "/v1/portals/acme/customers/ext:weather-app-inc";

/// Tells it.
pub(crate) async fn tell(stage: &Stage<'_>) -> Outcome {
    say("Every call as it is sent; answers without what is empty, and cut where they are long.")?;
    three_calls_to_ready(stage).await?;
    plans(stage).await?;
    customer(stage).await?;
    let paid = subscriptions(stage).await?;
    a_month_passes(stage, &paid).await?;
    let good = a_card_fails(stage, &paid).await?;
    a_bank_asks(stage, &paid, &good).await?;
    offline(stage).await?;
    on_one_page(stage).await?;
    what_is_left_behind(stage).await
}

async fn three_calls_to_ready(stage: &Stage<'_>) -> Outcome {
    say("A portal is made, and its Stripe module enabled.")?;
    let title = json!({"title": "Acme developer portal"});
    stage.call(Method::PUT, PORTAL, title, 201).await?;
    let enabled = json!({
        "enabled": true,
        "settings": {"grace_period_days": 3, "allowed_return_origins": ["https://portal.acme.example"]}
    });
    let module = stage.call(Method::PUT, MODULE, enabled, 201).await?;
    promised(&module["status"], "unconfigured")?;

    say("A key that Stripe does not know is refused, and nothing is stored.")?;
    let credentials = format!("{MODULE}/credentials");
    let wrong =
        json!({"publishable_key": DEFAULT_PUBLISHABLE_KEY, "secret_key": "sk_test_mistyped"});
    stage.call(Method::PUT, &credentials, wrong, 424).await?;

    say("Credentials are verified with Stripe, then stored sealed; the answer is masked.")?;
    let right =
        json!({"publishable_key": DEFAULT_PUBLISHABLE_KEY, "secret_key": DEFAULT_SECRET_KEY});
    stage.call(Method::PUT, &credentials, right, 201).await?;

    say("The service registers its webhook endpoint at Stripe and keeps the secret sealed.")?;
    let endpoint = format!("{MODULE}/webhook-endpoint");
    stage
        .call(Method::POST, &endpoint, Value::Null, 201)
        .await?;

    say("Ready to sell.")?;
    let module = stage.call(Method::GET, MODULE, Value::Null, 200).await?;
    promised(&module["status"], "ready")
}

async fn plans(stage: &Stage<'_>) -> Outcome {
    say(
        "A product with a free and a paid plan is published; the paid one gets its Price at Stripe.",
    )?;
    let product = json!({
        "title": "Weather",
        "version": "1.0.0",
        "description": "Forecasts by the hour",
        "state": "published",
        "plans": [
            {"id": "free", "title": "Free", "pricing": {"model": "free"}},
            {"id": "gold", "title": "Gold", "pricing": {
                "model": "flat",
                "price": {"amount": 1500, "currency": "usd"},
                "interval": {"unit": "month", "count": 1}
            }}
        ]
    });
    let path = format!("{PORTAL}/products/weather");
    let product = stage.call(Method::PUT, &path, product, 201).await?;
    promised(&product["state"], "published")
}

async fn customer(stage: &Stage<'_>) -> Outcome {
    say("A consumer organization becomes a customer. Stripe hears of it when it is first needed.")?;
    let customer = json!({
        "external_id": "weather-app-inc",
        "name": "Weather App Inc.",
        "email": "billing@weather-app.example"
    });
    let path = format!("{PORTAL}/customers");
    stage.call(Method::POST, &path, customer, 201).await?;
    Ok(())
}

/// A free and a paid subscription; gives the paid one's address.
async fn subscriptions(stage: &Stage<'_>) -> Outcome<String> {
    let path = format!("{PORTAL}/subscriptions");
    say("Free plans cost nothing and touch nothing: active at once, without a call to Stripe.")?;
    let free = json!({
        "customer": "ext:weather-app-inc", "product": "weather", "plan": "free", "application": "try-out"
    });
    let free = stage.once(&path, "demo-free-plan", free, 201).await?;
    promised(&free["status"], "active")?;

    say("A paid plan needs a payment method.")?;
    let gold = json!({
        "customer": "ext:weather-app-inc", "product": "weather", "plan": "gold", "application": "production"
    });
    stage
        .once(&path, "demo-gold-too-early", gold.clone(), 409)
        .await?;

    say(
        "Card numbers never come near this service: the consumer's browser goes to a Checkout page.",
    )?;
    let session = json!({
        "mode": "setup",
        "success_url": "https://portal.acme.example/billing?done",
        "cancel_url": "https://portal.acme.example/billing"
    });
    let sessions = format!("{CUSTOMER}/checkout-sessions");
    let session = stage.call(Method::POST, &sessions, session, 201).await?;
    let session = session["id"].as_str().unwrap_or_default().to_owned();

    say(
        "There the consumer types a card, here 4242 4242 4242 4242. The saved card arrives by itself.",
    )?;
    let submit = format!("/checkout/{session}/complete");
    stage
        .at_stripe(&submit, json!({"payment_method": "pm_card_visa"}))
        .await?;
    let methods = format!("{CUSTOMER}/payment-methods");
    stage.until(&methods, "/data/0/status", "usable").await?;
    stage.call(Method::GET, &methods, Value::Null, 200).await?;

    say(
        "Now the paid plan: Stripe charges the first month. The same key again would change nothing.",
    )?;
    let paid = stage.once(&path, "demo-gold", gold, 201).await?;
    promised(&paid["status"], "active")?;
    promised(&paid["access"]["decision"], "allow")?;
    Ok(format!(
        "{path}/{}",
        paid["id"].as_str().unwrap_or_default()
    ))
}

async fn a_month_passes(stage: &Stage<'_>, paid: &str) -> Outcome {
    say("A month passes. Stripe bills and charges by itself, and its events arrive.")?;
    stage.renewal_passes(paid).await?;
    let invoices = format!("{PORTAL}/invoices?customer=ext:weather-app-inc&limit=2");
    stage.until(&invoices, "/data/1/status", "paid").await?;
    stage.call(Method::GET, &invoices, Value::Null, 200).await?;
    let access = stage
        .call(Method::GET, &format!("{paid}/access"), Value::Null, 200)
        .await?;
    promised(&access["decision"], "allow")
}

/// Gives the card that works in the end.
async fn a_card_fails(stage: &Stage<'_>, paid: &str) -> Outcome<Value> {
    say("The consumer replaces the card by one that will be declined at the next renewal.")?;
    let methods = format!("{CUSTOMER}/payment-methods");
    let now = stage.call(Method::GET, paid, Value::Null, 200).await?;
    let failing = json!({
        "payment_method": "pm_card_chargeCustomerFail", "default": true, "replaces": now["payment_method"]
    });
    let failing = stage
        .once(&methods, "demo-failing-card", failing, 201)
        .await?;

    say("The next renewal fails: past due, and three days of grace.")?;
    stage.renewal_passes(paid).await?;
    let access = format!("{paid}/access");
    stage.until(&access, "/decision", "grace").await?;
    stage.call(Method::GET, &access, Value::Null, 200).await?;

    say("Grace ends by the clock, even if nothing arrives: the gateway is told to deny.")?;
    stage.days_pass(4).await?;
    let denied = stage.call(Method::GET, &access, Value::Null, 200).await?;
    promised(&denied["decision"], "deny")?;

    say("The consumer saves a good card and pays the open invoice.")?;
    let good = json!({
        "payment_method": "pm_card_mastercard", "default": true, "replaces": failing["id"]
    });
    let good = stage.once(&methods, "demo-good-card", good, 201).await?;
    let open = stage.call(Method::GET, OPEN, Value::Null, 200).await?;
    let invoice = open["data"][0]["id"].as_str().unwrap_or_default();
    let pay = format!("{PORTAL}/invoices/{invoice}/pay");
    let invoice = stage.once(&pay, "demo-pay-invoice", json!({}), 200).await?;
    promised(&invoice["status"], "paid")?;

    say("Access is restored, without a human.")?;
    stage.until(&access, "/decision", "allow").await?;
    stage.call(Method::GET, &access, Value::Null, 200).await?;
    Ok(good["id"].clone())
}

async fn a_bank_asks(stage: &Stage<'_>, paid: &str, replaced: &Value) -> Outcome {
    say("The next card's bank wants to see who pays, at every payment: 3-D Secure.")?;
    let methods = format!("{CUSTOMER}/payment-methods");
    let asking = json!({
        "payment_method": "pm_card_authenticationRequired", "default": true, "replaces": replaced
    });
    stage
        .once(&methods, "demo-asking-card", asking, 201)
        .await?;

    say(
        "So at the renewal it is the consumer's turn: `action` tells the portal, with the page to send them to.",
    )?;
    stage.renewal_passes(paid).await?;
    stage.until(paid, "/action/type", "authenticate").await?;
    let behind = stage.call(Method::GET, paid, Value::Null, 200).await?;
    promised(&behind["access"]["decision"], "grace")?;
    let open = stage.call(Method::GET, OPEN, Value::Null, 200).await?;
    promised(&open["data"][0]["action"]["type"], "authenticate")?;

    say(
        "The consumer opens that page and approves at the bank. The invoice is paid, and access is as before.",
    )?;
    stage.bank_approves(&open["data"][0]).await?;
    stage.until(paid, "/status", "active").await?;
    let now = stage.call(Method::GET, paid, Value::Null, 200).await?;
    promised(&now["access"]["decision"], "allow")
}

async fn offline(stage: &Stage<'_>) -> Outcome {
    say("For gateways that ask nobody: the same answer as a signed token.")?;
    let question = "customer=ext:weather-app-inc&product=weather&application=production";
    let token = format!("{PORTAL}/access/token?{question}");
    stage.call(Method::GET, &token, Value::Null, 200).await?;
    Ok(())
}

async fn on_one_page(stage: &Stage<'_>) -> Outcome {
    say("A portal without a form of its own lets the consumer subscribe on Stripe's page.")?;
    let customer = json!({
        "external_id": "sailing-club",
        "name": "Sailing Club",
        "email": "office@sailing-club.example"
    });
    let customers = format!("{PORTAL}/customers");
    stage.call(Method::POST, &customers, customer, 201).await?;
    let page = json!({
        "mode": "subscription", "product": "weather", "plan": "gold", "application": "harbour",
        "success_url": "https://portal.acme.example/billing?done",
        "cancel_url": "https://portal.acme.example/billing"
    });
    let pages = format!("{customers}/ext:sailing-club/checkout-sessions");
    let page = stage.call(Method::POST, &pages, page, 201).await?;
    let text = |name: &str| page[name].as_str().unwrap_or_default();

    say("The subscription waits for its page, and is active when that is paid.")?;
    let subscription = format!("{PORTAL}/subscriptions/{}", text("subscription"));
    let waiting = stage
        .call(Method::GET, &subscription, Value::Null, 200)
        .await?;
    promised(&waiting["status"], "incomplete")?;
    let submit = format!("/checkout/{}/complete", text("id"));
    stage
        .at_stripe(&submit, json!({"payment_method": "pm_card_visa"}))
        .await?;
    stage.until(&subscription, "/status", "active").await?;
    let paid = stage
        .call(Method::GET, &subscription, Value::Null, 200)
        .await?;
    promised(&paid["access"]["decision"], "allow")
}

async fn what_is_left_behind(stage: &Stage<'_>) -> Outcome {
    say("Everything that happened, in order, for the portal to read or to be sent.")?;
    let feed = format!("{PORTAL}/events?limit=3");
    stage.call(Method::GET, &feed, Value::Null, 200).await?;

    say("Who did what: append-only and hash-chained.")?;
    let audit = format!("{PORTAL}/audit-log?limit=2");
    stage.call(Method::GET, &audit, Value::Null, 200).await?;
    Ok(())
}
