//! Subscriptions over HTTP: beginning, renewing, failing, ending.

use crate::billing::{DAY, Shop, text};
use crate::support::START;

#[test]
fn a_paid_subscription_is_active_and_renews_once_a_month() {
    let shop = Shop::open("pm_card_visa");
    let price = shop.price(2000);
    let subscription = shop.subscribe(&price, &[("items[0][quantity]", "2")]);
    assert_eq!(subscription["status"], "active");
    let item = &subscription["items"]["data"][0];
    assert_eq!(item["current_period_start"], START);
    assert_eq!(item["current_period_end"], START + 31 * DAY);
    let first = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(first["status"], "paid");
    assert_eq!(first["billing_reason"], "subscription_create");
    assert_eq!(first["amount_paid"], 4000);
    assert_eq!(
        first["lines"]["data"][0]["description"],
        "2 × Gold (at $20.00 / month)"
    );
    shop.advance_to(32 * DAY);
    let invoices = shop.invoices();
    assert_eq!(invoices.len(), 2, "an advance of 32 days renews once");
    assert_eq!(invoices[0]["billing_reason"], "subscription_cycle");
    assert_eq!(invoices[0]["status"], "paid");
    assert_eq!(invoices[0]["period_start"], START);
    assert_eq!(
        invoices[0]["status_transitions"]["finalized_at"],
        START + 31 * DAY + 3600
    );
    let subscription = shop.subscription(&subscription["id"]);
    assert_eq!(
        subscription["items"]["data"][0]["current_period_end"],
        START + 59 * DAY
    );
}

#[test]
fn events_come_in_order() {
    let shop = Shop::open("pm_card_visa");
    shop.subscribe(&shop.price(2000), &[]);
    let begun = shop.events_of(&[
        "customer.subscription",
        "invoice",
        "payment_intent",
        "charge.succeeded",
    ]);
    assert_eq!(
        begun,
        [
            "invoice.created",
            "customer.subscription.created",
            "payment_intent.created",
            "invoice.finalized",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice_payment.paid",
            "invoice.updated",
            "invoice.paid",
            "invoice.payment_succeeded",
            "customer.subscription.updated",
        ]
    );
    shop.advance_to(32 * DAY);
    let renewed = shop.events_of(&["customer.subscription", "invoice."]);
    assert_eq!(
        renewed[7..],
        [
            "invoice.upcoming",
            "invoice.created",
            "customer.subscription.updated",
            "invoice.finalized",
            "invoice.updated",
            "invoice.paid",
            "invoice.payment_succeeded",
        ]
    );
}

#[test]
fn a_declined_first_payment_leaves_the_subscription_incomplete_for_23_hours() {
    let shop = Shop::open("pm_card_chargeCustomerFail");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    assert_eq!(subscription["status"], "incomplete");
    let invoice = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(invoice["status"], "open");
    assert_eq!(invoice["attempt_count"], 1);
    assert!(invoice["next_payment_attempt"].is_null());
    shop.advance_to(23 * 3600 - 1);
    assert_eq!(
        shop.subscription(&subscription["id"])["status"],
        "incomplete"
    );
    shop.advance_to(23 * 3600);
    assert_eq!(
        shop.subscription(&subscription["id"])["status"],
        "incomplete_expired"
    );
    assert_eq!(shop.invoice(&invoice["id"])["status"], "void");
}

#[test]
fn an_incomplete_subscription_becomes_active_when_its_invoice_is_paid() {
    let shop = Shop::open("pm_card_chargeCustomerFail");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    let good = shop.give_method("pm_card_visa");
    let path = format!("/v1/invoices/{}/pay", text(&subscription["latest_invoice"]));
    let paid = shop.stripe.post(&path, &[("payment_method", &good)]).ok();
    assert_eq!(paid["status"], "paid");
    assert_eq!(shop.subscription(&subscription["id"])["status"], "active");
    assert_eq!(
        shop.stripe.post(&path, &[]).error(400)["code"],
        "invoice_already_paid"
    );
    let void = format!("/v1/invoices/{}/void", text(&paid["id"]));
    assert_eq!(
        shop.stripe.post(&void, &[]).error(400)["code"],
        "invoice_not_open"
    );
}

#[test]
fn error_if_incomplete_keeps_nothing() {
    let shop = Shop::open("pm_card_chargeCustomerFail");
    let price = shop.price(2000);
    let more = [("payment_behavior", "error_if_incomplete")];
    let error = shop.try_subscribe(&price, &more).error(402);
    assert_eq!(error["code"], "card_declined");
    assert_eq!(error["type"], "card_error");
    assert!(shop.invoices().is_empty());
    let list = format!("/v1/subscriptions?status=all&customer={}", shop.customer);
    assert_eq!(shop.stripe.get(&list).ok()["data"], serde_json::json!([]));
    let good = shop.give_method("pm_card_visa");
    let more = [more[0], ("default_payment_method", good.as_str())];
    assert_eq!(shop.subscribe(&price, &more)["status"], "active");
}

#[test]
fn default_incomplete_waits_for_the_customer() {
    let shop = Shop::without_method();
    let price = shop.price(2000);
    let error = shop.try_subscribe(&price, &[]).error(400);
    assert_eq!(error["code"], "resource_missing");
    let more = [
        ("payment_behavior", "default_incomplete"),
        (
            "payment_settings[save_default_payment_method]",
            "on_subscription",
        ),
        ("expand[0]", "latest_invoice.confirmation_secret"),
        ("expand[1]", "latest_invoice.payments"),
    ];
    let subscription = shop.subscribe(&price, &more);
    assert_eq!(subscription["status"], "incomplete");
    let invoice = &subscription["latest_invoice"];
    assert_eq!(invoice["attempted"], false);
    let secret = text(&invoice["confirmation_secret"]["client_secret"]);
    let intent = secret.split("_secret_").next().unwrap();
    assert_eq!(
        invoice["payments"]["data"][0]["payment"]["payment_intent"],
        intent
    );
    let path = format!("/v1/payment_intents/{intent}/confirm");
    shop.stripe
        .post(&path, &[("payment_method", "pm_card_visa")])
        .ok();
    let subscription = shop.subscription(&subscription["id"]);
    assert_eq!(subscription["status"], "active");
    assert!(text(&subscription["default_payment_method"]).starts_with("pm_"));
    assert_eq!(shop.invoice(&invoice["id"])["status"], "paid");
}

#[test]
fn three_d_secure_is_asked_for_and_completes_the_subscription() {
    let shop = Shop::open("pm_card_authenticationRequired");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    assert_eq!(subscription["status"], "incomplete");
    assert!(
        shop.events()
            .contains(&"invoice.payment_action_required".to_owned())
    );
    let path = format!(
        "/v1/invoices/{}?expand[]=payments",
        text(&subscription["latest_invoice"])
    );
    let invoice = shop.stripe.get(&path).ok();
    let intent = text(&invoice["payments"]["data"][0]["payment"]["payment_intent"]);
    let path = format!("/_simulator/bank/{intent}/approve");
    assert_eq!(shop.stripe.post(&path, &[]).status, 200);
    assert_eq!(shop.subscription(&subscription["id"])["status"], "active");
}

#[test]
fn dunning_retries_and_then_cancels() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    shop.give_method("pm_card_chargeCustomerFail");
    let renewal = 31 * DAY;
    shop.advance_to(renewal + 3600);
    let now = shop.subscription(&subscription["id"]);
    assert_eq!(now["status"], "past_due");
    let invoice = shop.invoice(&now["latest_invoice"]);
    assert_eq!(invoice["attempt_count"], 1);
    let customer = format!("/v1/customers/{}", shop.customer);
    assert_eq!(shop.stripe.get(&customer).ok()["delinquent"], true);
    assert_eq!(
        invoice["next_payment_attempt"],
        START + renewal + 3600 + 3 * DAY
    );
    shop.advance_to(renewal + 3600 + 3 * DAY);
    assert_eq!(shop.invoice(&invoice["id"])["attempt_count"], 2);
    shop.advance_to(renewal + 3600 + 15 * DAY);
    let ended = shop.subscription(&subscription["id"]);
    assert_eq!(ended["status"], "canceled");
    assert_eq!(ended["cancellation_details"]["reason"], "payment_failed");
    let invoice = shop.invoice(&invoice["id"]);
    assert_eq!(invoice["attempt_count"], 4);
    assert_eq!(invoice["status"], "open");
    assert_eq!(invoice["auto_advance"], false);
}

#[test]
fn a_past_due_subscription_recovers_with_a_new_method() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    shop.give_method("pm_card_chargeCustomerFail");
    shop.advance_to(31 * DAY + 3600);
    assert_eq!(shop.subscription(&subscription["id"])["status"], "past_due");
    shop.give_method("pm_card_mastercard");
    shop.advance_to(31 * DAY + 3600 + 3 * DAY);
    let now = shop.subscription(&subscription["id"]);
    assert_eq!(now["status"], "active");
    assert_eq!(shop.invoice(&now["latest_invoice"])["status"], "paid");
}

#[test]
fn a_trial_warns_and_then_bills() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[("trial_period_days", "14")]);
    assert_eq!(subscription["status"], "trialing");
    assert_eq!(subscription["trial_end"], START + 14 * DAY);
    let first = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(
        (&first["total"], &first["status"]),
        (&0.into(), &"paid".into())
    );
    assert_eq!(
        first["lines"]["data"][0]["description"],
        "Trial period for Gold"
    );
    shop.advance_to(11 * DAY);
    assert!(
        shop.events()
            .contains(&"customer.subscription.trial_will_end".to_owned())
    );
    shop.advance_to(14 * DAY);
    let now = shop.subscription(&subscription["id"]);
    assert_eq!(now["status"], "active");
    assert_eq!(shop.invoice(&now["latest_invoice"])["status"], "draft");
    assert_eq!(
        now["items"]["data"][0]["current_period_end"],
        START + 45 * DAY
    );
    shop.advance_to(14 * DAY + 3600);
    assert_eq!(shop.invoice(&now["latest_invoice"])["amount_paid"], 2000);
}

#[test]
fn a_trial_without_a_method_ends_as_it_is_set() {
    for (behavior, status) in [
        ("cancel", "canceled"),
        ("pause", "paused"),
        ("create_invoice", "past_due"),
    ] {
        let shop = Shop::without_method();
        let more = [
            ("trial_period_days", "7"),
            (
                "trial_settings[end_behavior][missing_payment_method]",
                behavior,
            ),
        ];
        let subscription = shop.subscribe(&shop.price(2000), &more);
        assert!(text(&subscription["pending_setup_intent"]).starts_with("seti_"));
        shop.advance_to(7 * DAY + 3600);
        let now = shop.subscription(&subscription["id"]);
        assert_eq!(now["status"], status);
        if status == "paused" {
            assert!(
                shop.events()
                    .contains(&"customer.subscription.paused".to_owned())
            );
            shop.give_method("pm_card_visa");
            let path = format!("/v1/subscriptions/{}/resume", text(&now["id"]));
            let resumed = shop
                .stripe
                .post(&path, &[("billing_cycle_anchor[type]", "now")])
                .ok();
            assert_eq!(resumed["status"], "active");
            assert_eq!(resumed["billing_cycle_anchor"], START + 7 * DAY + 3600);
            assert_eq!(shop.invoice(&resumed["latest_invoice"])["status"], "paid");
        }
    }
}

#[test]
fn canceling_at_the_end_of_the_period_can_be_undone() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let ending = shop
        .stripe
        .post(&path, &[("cancel_at_period_end", "true")])
        .ok();
    assert_eq!(ending["cancel_at"], START + 31 * DAY);
    assert_eq!(ending["status"], "active");
    let kept = shop
        .stripe
        .post(&path, &[("cancel_at_period_end", "false")])
        .ok();
    assert!(kept["cancel_at"].is_null() && kept["canceled_at"].is_null());
    shop.stripe
        .post(&path, &[("cancel_at_period_end", "true")])
        .ok();
    shop.advance_to(31 * DAY);
    let ended = shop.subscription(&subscription["id"]);
    assert_eq!(ended["status"], "canceled");
    assert_eq!(ended["ended_at"], START + 31 * DAY);
    assert_eq!(shop.invoices().len(), 1);
    shop.stripe.delete(&path).error(404);
}

#[test]
fn canceling_now_can_credit_the_unused_time() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(3100), &[]);
    shop.advance_to(15 * DAY);
    let path = format!(
        "/v1/subscriptions/{}?prorate=true&invoice_now=true",
        text(&subscription["id"])
    );
    let canceled = shop.stripe.delete(&path).ok();
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(
        canceled["cancellation_details"]["reason"],
        "cancellation_requested"
    );
    let invoices = shop.invoices();
    assert_eq!(invoices[0]["total"], -1600);
    assert_eq!(invoices[0]["status"], "paid");
    let customer = shop
        .stripe
        .get(&format!("/v1/customers/{}", shop.customer))
        .ok();
    assert_eq!(customer["balance"], -1600);
}

#[test]
fn pausing_collection_handles_invoices_as_told() {
    for (behavior, status) in [
        ("keep_as_draft", "draft"),
        ("mark_uncollectible", "uncollectible"),
        ("void", "void"),
    ] {
        let shop = Shop::open("pm_card_visa");
        let subscription = shop.subscribe(&shop.price(2000), &[]);
        let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
        let resumes = (START + 40 * DAY).to_string();
        let form = [
            ("pause_collection[behavior]", behavior),
            ("pause_collection[resumes_at]", resumes.as_str()),
        ];
        shop.stripe.post(&path, &form).ok();
        shop.advance_to(32 * DAY);
        assert_eq!(shop.invoices()[0]["status"], status);
        assert_eq!(shop.subscription(&subscription["id"])["status"], "active");
        shop.advance_to(60 * DAY);
        assert!(shop.subscription(&subscription["id"])["pause_collection"].is_null());
        assert_eq!(shop.invoices()[0]["status"], "paid");
    }
}

#[test]
fn sent_invoices_fall_due() {
    let shop = Shop::without_method();
    let more = [
        ("collection_method", "send_invoice"),
        ("days_until_due", "10"),
    ];
    let subscription = shop.subscribe(&shop.price(2000), &more);
    assert_eq!(subscription["status"], "active");
    shop.advance_to(3600);
    let invoice = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(invoice["status"], "open");
    assert_eq!(invoice["due_date"], START + 3600 + 10 * DAY);
    shop.advance_to(11 * DAY);
    assert_eq!(shop.subscription(&subscription["id"])["status"], "past_due");
    let path = format!("/v1/invoices/{}/pay", text(&invoice["id"]));
    shop.stripe
        .post(&path, &[("paid_out_of_band", "true")])
        .ok();
    assert_eq!(shop.subscription(&subscription["id"])["status"], "active");
}

#[test]
fn a_trial_takes_its_method_from_the_pending_setup() {
    let shop = Shop::without_method();
    let subscription = shop.subscribe(&shop.price(2000), &[("trial_period_days", "7")]);
    let setup = text(&subscription["pending_setup_intent"]);
    let path = format!("/v1/setup_intents/{setup}/confirm");
    let form = [("payment_method", "pm_card_visa")];
    assert_eq!(shop.stripe.post(&path, &form).ok()["status"], "succeeded");
    let now = shop.subscription(&subscription["id"]);
    assert!(now["pending_setup_intent"].is_null());
    assert!(text(&now["default_payment_method"]).starts_with("pm_"));
    shop.advance_to(7 * DAY + 3600);
    let now = shop.subscription(&subscription["id"]);
    assert_eq!(now["status"], "active");
    assert_eq!(shop.invoice(&now["latest_invoice"])["status"], "paid");
}

#[test]
fn dunning_can_end_in_unpaid_or_stay_past_due() {
    for end in ["unpaid", "past_due"] {
        let shop = Shop::open("pm_card_visa");
        let settings =
            serde_json::json!({ "end_state": end, "retry_days": [1], "mark_uncollectible": false });
        let reply = shop.stripe.send_raw(
            "POST",
            "/_simulator/billing",
            settings.to_string().as_bytes(),
            &[("content-type", "application/json")],
        );
        assert_eq!(reply.ok()["end_state"], end);
        let subscription = shop.subscribe(&shop.price(2000), &[]);
        shop.give_method("pm_card_chargeCustomerFail");
        shop.advance_to(31 * DAY + 3600 + DAY);
        let now = shop.subscription(&subscription["id"]);
        assert_eq!(now["status"], end);
        let failed = shop.invoice(&now["latest_invoice"]);
        assert!(failed["next_payment_attempt"].is_null());
        shop.advance_to(60 * DAY);
        let now = shop.subscription(&subscription["id"]);
        let next = shop.invoice(&now["latest_invoice"]);
        if end == "unpaid" {
            assert_eq!(
                (&next["status"], &next["auto_advance"]),
                (&"draft".into(), &false.into())
            );
            let good = shop.give_method("pm_card_visa");
            for id in [&failed["id"], &next["id"]] {
                let path = format!("/v1/invoices/{}/pay", text(id));
                shop.stripe.post(&path, &[("payment_method", &good)]).ok();
            }
            assert_eq!(shop.subscription(&subscription["id"])["status"], "active");
        } else {
            assert_eq!(next["status"], "open");
        }
    }
}

#[test]
fn a_customer_keeps_to_one_currency() {
    let shop = Shop::open("pm_card_visa");
    shop.subscribe(&shop.price(2000), &[]);
    let euro = shop.price_with(2000, &[("currency", "eur")]);
    let error = shop.try_subscribe(&euro, &[]).error(400);
    assert!(text(&error["message"]).starts_with("You cannot combine currencies"));
}

#[test]
fn deleting_a_customer_cancels_its_subscriptions() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    let path = format!("/v1/customers/{}", shop.customer);
    shop.stripe.delete(&path).ok();
    assert_eq!(shop.subscription(&subscription["id"])["status"], "canceled");
    shop.advance_to(40 * DAY);
    let all = shop.stripe.get("/v1/invoices").ok();
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_resumption_that_is_not_paid_for_lapses() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let pause = format!("{path}/pause");
    shop.stripe.post(&pause, &[("type", "subscription")]).ok();
    shop.give_method("pm_card_chargeCustomerFail");
    let resume = format!("{path}/resume");
    let waiting = shop.stripe.post(&resume, &[]).ok();
    assert_eq!(waiting["status"], "paused");
    let invoice = shop.invoice(&waiting["latest_invoice"]);
    assert_eq!(invoice["status"], "open");
    shop.advance_to(23 * 3600);
    assert_eq!(shop.invoice(&invoice["id"])["status"], "void");
    assert_eq!(shop.subscription(&subscription["id"])["status"], "paused");
    shop.give_method("pm_card_visa");
    assert_eq!(shop.stripe.post(&resume, &[]).ok()["status"], "active");
}
