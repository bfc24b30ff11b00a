//! Paid plans: one call for a known customer, two for a new one, and nothing left of what is declined.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CREATE, CREATE_CUSTOMER, SUBSCRIPTIONS, at_stripe, live_at_stripe, order, payer, plans, read,
    shop, subscribe, told, told_of, with,
};
use crate::support::billing::PORTAL;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_known_customer_costs_one_call,
    a_new_customer_costs_two_calls_and_its_card_is_saved,
    a_new_card_of_a_known_customer_is_attached_and_saved,
    a_saved_card_can_be_named,
    what_cannot_be_paid_with_is_refused_before_anything_is_sent,
    a_declined_payment_leaves_nothing_behind_and_is_replayed,
    a_declined_new_card_leaves_nothing_behind,
    seats_are_counted,
    a_setup_fee_is_on_the_first_invoice,
    promotion_codes_are_looked_up_first,
    the_module_and_the_price_have_to_be_there,
    a_repeated_request_is_answered_byte_for_byte,
    live_paid_subscriptions_keep_their_credentials,
);

async fn a_known_customer_costs_one_call(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order("ext:globex", "gold"))
        .await
        .expect(201);
    assert_eq!(service.calls().await, [CREATE]);
    let there = at_stripe(&service, "subscription").await;
    assert_eq!(there.len(), 1);
    assert_eq!(made["status"], "active");
    assert_eq!(made["customer"], customer.as_str());
    assert_eq!(
        made["access"],
        json!({"decision": "allow", "reason": "active", "until": null})
    );
    assert_eq!(made["stripe"]["subscription"], there[0]["id"]);
    assert_eq!(made["stripe"]["customer"], there[0]["customer"]);
    assert_eq!(made["stripe"]["livemode"], false);
    assert_eq!(made["payment_method"], Value::Null);
    assert_eq!(made["action"], Value::Null);
    assert!(made["current_period"]["end"].as_str() > made["current_period"]["start"].as_str());
    let metadata = &there[0]["metadata"];
    assert_eq!(metadata["portal_billing_portal"], PORTAL);
    assert_eq!(metadata["portal_billing_subscription"], made["id"]);
    assert_eq!(metadata["portal_billing_customer"], customer.as_str());
    assert_eq!(metadata["portal_billing_product"], "weather");
    assert_eq!(metadata["portal_billing_plan"], "gold");
    assert_eq!(metadata["portal_billing_revision"], "1");
    assert!(metadata["operation"].as_str().unwrap().starts_with("oper_"));
    let invoices = at_stripe(&service, "invoice").await;
    assert_eq!(invoices.len(), 1);
    assert_eq!(
        (&invoices[0]["status"], &invoices[0]["total"]),
        (&json!("paid"), &json!(1500))
    );
    // Told of once, when it had come to be.
    assert_eq!(
        told_of(&service, &made["id"]).await,
        [("subscription.created".to_owned(), 1)]
    );
    let audited = service.audited().await;
    assert_eq!(
        audited[audited.len() - 2..],
        ["subscription.requested", "subscription.created"]
    );
    // Reads ask nobody.
    service.forget_calls().await;
    assert_eq!(read(&service, &made).await, made);
    service.get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn a_new_customer_costs_two_calls_and_its_card_is_saved(engine: Database) {
    let service = shop(engine).await;
    let customer = service.customer("globex").await;
    let card = service.card("visa").await;
    service.forget_calls().await;
    let body = with(order("ext:globex", "gold"), "payment_method", card.as_str());
    let made = subscribe(&service, "paid-0001", body).await.expect(201);
    assert_eq!(service.calls().await, [CREATE_CUSTOMER, CREATE]);
    assert_eq!(made["status"], "active");
    let methods = format!(
        "/v1/portals/acme/customers/{}/payment-methods",
        customer["id"].as_str().unwrap()
    );
    let methods = service.get(&methods).await.expect(200);
    let method = &methods["data"][0];
    assert_eq!(method["stripe"]["payment_method"], card.as_str());
    assert_eq!(
        (&method["default"], &method["status"]),
        (&json!(true), &json!("usable"))
    );
    assert_eq!(method["card"]["last4"], "4242");
    assert_eq!(made["payment_method"], method["id"]);
    let there = &at_stripe(&service, "subscription").await[0];
    assert_eq!(there["default_payment_method"], card.as_str());
    assert_eq!(
        told_of(&service, &method["id"]).await,
        [("payment_method.created".to_owned(), 1)]
    );
    let versions = told_of(&service, &customer["id"]).await;
    let seen: Vec<i64> = versions.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(
        seen,
        (1..=i64::try_from(seen.len()).unwrap()).collect::<Vec<_>>()
    );
}

async fn a_new_card_of_a_known_customer_is_attached_and_saved(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let card = service.card("mastercard").await;
    service.forget_calls().await;
    let body = with(order(&customer, "gold"), "payment_method", card.as_str());
    let made = subscribe(&service, "paid-0001", body).await.expect(201);
    assert_eq!(
        service.calls().await,
        ["POST /v1/payment_methods/{payment_method}/attach", CREATE]
    );
    let method = made["payment_method"].as_str().unwrap();
    let path = format!("/v1/portals/acme/customers/{customer}/payment-methods/{method}");
    let method = service.get(&path).await.expect(200);
    assert_eq!(method["stripe"]["payment_method"], card.as_str());
    // What the customer pays with otherwise stays.
    assert_eq!(method["default"], false);
    // The same card again is known by now.
    service.forget_calls().await;
    let body = with(order(&customer, "gold"), "payment_method", card.as_str());
    let body = with(body, "application", "two");
    let second = subscribe(&service, "paid-0002", body).await.expect(201);
    assert_eq!(service.calls().await, [CREATE]);
    assert_eq!(second["payment_method"], made["payment_method"]);
}

async fn a_saved_card_can_be_named(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let card = service.card("amex").await;
    let saved = service
        .save(
            &customer,
            "save-0002",
            json!({"payment_method": card, "default": false}),
        )
        .await
        .expect(201);
    service.forget_calls().await;
    let body = with(
        order(&customer, "gold"),
        "payment_method",
        saved["id"].clone(),
    );
    let made = subscribe(&service, "paid-0001", body).await.expect(201);
    assert_eq!(service.calls().await, [CREATE]);
    assert_eq!(made["payment_method"], saved["id"]);
    let there = &at_stripe(&service, "subscription").await[0];
    assert_eq!(there["default_payment_method"], card.as_str());
}

async fn what_cannot_be_paid_with_is_refused_before_anything_is_sent(engine: Database) {
    let service = shop(engine).await;
    let poor = service.customer("initech").await;
    let rich = payer(&service, "globex").await;
    let path = format!("/v1/portals/acme/customers/{rich}/payment-methods");
    let methods = service.get(&path).await.expect(200);
    let (theirs, at_stripe) = (
        methods["data"][0]["id"].clone(),
        methods["data"][0]["stripe"]["payment_method"].clone(),
    );
    service.forget_calls().await;
    let gold = || order(poor["id"].as_str().unwrap(), "gold");
    let none = subscribe(&service, "none-0001", gold()).await;
    none.problem(409, "payment_method_required");
    for (number, method) in [theirs, at_stripe, json!("meth_01kat5bmf0f3x8q2r7w1e4t6y9")]
        .into_iter()
        .enumerate()
    {
        let body = with(gold(), "payment_method", method);
        let refused = subscribe(&service, &format!("theirs-{number:03}"), body).await;
        refused.problem(409, "payment_method_unusable");
    }
    assert_eq!(service.calls().await, Vec::<String>::new());
    // An expired default is none: this card is good to the end of this month.
    let now = service.clock.now();
    let (year, month) = (
        now.to_rfc3339()[..4].to_owned(),
        now.to_rfc3339()[5..7].to_owned(),
    );
    let form = [
        ("type", "card"),
        ("card[number]", "4242424242424242"),
        ("card[exp_year]", year.as_str()),
        ("card[exp_month]", month.trim_start_matches('0')),
        ("card[cvc]", "123"),
    ];
    let card = service.stripe("/v1/payment_methods", &form).await;
    let body = json!({"payment_method": card["id"], "default": true});
    service.save(&rich, "save-exp1", body).await.expect(201);
    service.clock.advance_millis(32 * 86_400 * 1000);
    service.forget_calls().await;
    let expired = subscribe(&service, "expired-1", order(&rich, "gold")).await;
    expired.problem(409, "payment_method_required");
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn a_declined_payment_leaves_nothing_behind_and_is_replayed(engine: Database) {
    let service = shop(engine).await;
    let customer = service.customer("globex").await;
    let id = customer["id"].as_str().unwrap();
    // It can be attached, and every charge is declined.
    let card = service.card("chargeCustomerFail").await;
    service
        .save(id, "save-0001", json!({"payment_method": card}))
        .await
        .expect(201);
    service.forget_calls().await;
    let declined = subscribe(&service, "paid-0001", order(id, "gold")).await;
    let text = declined.text.clone();
    let problem = declined.problem(402, "payment_declined");
    assert_eq!(problem["stripe"]["code"], "card_declined");
    assert_eq!(problem["stripe"]["decline_code"], "generic_decline");
    assert_eq!(service.calls().await, [CREATE]);
    assert_eq!(at_stripe(&service, "subscription").await.len(), 0);
    let listed = service.get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(listed["data"], json!([]));
    let told = told(&service).await;
    assert!(
        told.iter()
            .all(|event| !event.event_type.starts_with("subscription."))
    );
    assert_eq!(
        service.audited().await.last().unwrap(),
        "subscription.refused"
    );
    let again = subscribe(&service, "paid-0001", order(id, "gold")).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status.as_u16(), again.text), (402, text));
    assert_eq!(service.calls().await, [CREATE]);
    // With a card that works there is no trace of it.
    let card = service.card("visa").await;
    let body = with(order(id, "gold"), "payment_method", card);
    subscribe(&service, "paid-0002", body).await.expect(201);
    assert_eq!(live_at_stripe(&service).await, 1);
}

async fn a_declined_new_card_leaves_nothing_behind(engine: Database) {
    let service = shop(engine).await;
    for (number, (name, decline_code)) in [
        ("chargeDeclined", "generic_decline"),
        ("chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("chargeDeclinedLostCard", "lost_card"),
        ("chargeCustomerFail", "generic_decline"),
    ]
    .into_iter()
    .enumerate()
    {
        let who = format!("customer-{number}");
        let customer = service.customer(&who).await;
        let card = service.card(name).await;
        let body = with(
            order(&format!("ext:{who}"), "gold"),
            "payment_method",
            card.as_str(),
        );
        let declined = subscribe(&service, &format!("paid-{who}"), body).await;
        let problem = declined.problem(402, "payment_declined");
        assert_eq!(problem["stripe"]["decline_code"], decline_code, "{name}");
        // What Stripe has attached is known here, and nothing else.
        let path = format!(
            "/v1/portals/acme/customers/{}/payment-methods",
            customer["id"].as_str().unwrap()
        );
        let saved = service.get(&path).await.expect(200);
        let attached = at_stripe(&service, "payment_method").await;
        let is_attached = attached
            .iter()
            .any(|method| method["id"] == card.as_str() && !method["customer"].is_null());
        let saved = saved["data"].as_array().unwrap();
        assert_eq!(saved.len(), usize::from(is_attached), "{name}");
    }
    assert_eq!(at_stripe(&service, "subscription").await.len(), 0);
    assert_eq!(
        service.get(SUBSCRIPTIONS).await.expect(200)["data"],
        json!([])
    );
}

async fn seats_are_counted(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let body = with(order(&customer, "seats"), "quantity", 12);
    let made = subscribe(&service, "paid-0001", body).await.expect(201);
    assert_eq!(made["quantity"], 12);
    let invoice = &at_stripe(&service, "invoice").await[0];
    assert_eq!(invoice["total"], 12 * 700);
    let one = with(order(&customer, "seats"), "application", "one");
    assert_eq!(
        subscribe(&service, "paid-0002", one).await.expect(201)["quantity"],
        1
    );
    let flat = with(order(&customer, "gold"), "quantity", 2);
    let flat = with(flat, "application", "two");
    subscribe(&service, "paid-0003", flat)
        .await
        .problem(422, "validation_failed");
}

async fn a_setup_fee_is_on_the_first_invoice(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    subscribe(&service, "paid-0001", order(&customer, "setup"))
        .await
        .expect(201);
    assert_eq!(service.calls().await, [CREATE]);
    let invoice = &at_stripe(&service, "invoice").await[0];
    assert_eq!(invoice["total"], 8000);
}

async fn promotion_codes_are_looked_up_first(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let coupon = service
        .stripe(
            "/v1/coupons",
            &[("percent_off", "50"), ("duration", "once")],
        )
        .await;
    let coupon = coupon["id"].as_str().unwrap().to_owned();
    let form = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", coupon.as_str()),
        ("code", "SPRING50"),
    ];
    service.stripe("/v1/promotion_codes", &form).await;
    service.forget_calls().await;
    let body = with(order(&customer, "gold"), "promotion_code", "WINTER");
    let refused = subscribe(&service, "promo-001", body).await;
    refused.problem(422, "promotion_code_invalid");
    assert_eq!(service.calls().await, ["GET /v1/promotion_codes"]);
    assert_eq!(
        service.get(SUBSCRIPTIONS).await.expect(200)["data"],
        json!([])
    );
    service.forget_calls().await;
    let body = with(order(&customer, "gold"), "promotion_code", "spring50");
    subscribe(&service, "promo-002", body).await.expect(201);
    assert_eq!(service.calls().await, ["GET /v1/promotion_codes", CREATE]);
    let invoice = &at_stripe(&service, "invoice").await[0];
    assert_eq!(invoice["total"], 750);
}

async fn the_module_and_the_price_have_to_be_there(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let module = "/v1/portals/acme/modules/stripe";
    service
        .put(module, json!({"enabled": false}))
        .await
        .expect(200);
    let disabled = subscribe(&service, "paid-0001", order(&customer, "gold")).await;
    disabled.problem(409, "module_disabled");
    // Free plans do not mind.
    let free = with(order(&customer, "open"), "application", "free");
    subscribe(&service, "free-0001", free).await.expect(201);
    service
        .put(module, json!({"enabled": true}))
        .await
        .expect(200);
    // A plan that is still on its way to Stripe has no price there.
    service.fault("error_before", "POST", "/v1/products").await;
    let new = json!({"title": "T", "version": "1", "state": "published", "plans": [plans()[2]]});
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=0")];
    let path = "/v1/portals/acme/products/tides";
    let put = service.call_with(Method::PUT, path, &headers, new).await;
    assert_eq!(put.status.as_u16(), 202, "{}", put.text);
    let tides = with(order(&customer, "gold"), "product", "tides");
    let early = subscribe(&service, "paid-0003", tides).await;
    early.problem(409, "plan_unavailable");
    service.forget_calls().await;
    // Other portals' plans and customers are not there.
    service.configured_portal("other").await;
    let path = "/v1/portals/other/subscriptions";
    let theirs = service
        .post_once(path, "paid-0002", order(&customer, "gold"))
        .await;
    theirs.problem(404, "not_found");
    // A refused key is not an answer that is kept.
    subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
}

async fn a_repeated_request_is_answered_byte_for_byte(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let first = subscribe(&service, "paid-0001", order(&customer, "gold")).await;
    let headers = ["etag", "location", "content-type"];
    let header_values = |answer: &crate::support::service::Answer| {
        headers.map(|name| answer.header(name).map(str::to_owned))
    };
    let (text, values) = (first.text.clone(), header_values(&first));
    let made = first.expect(201);
    service.forget_calls().await;
    let reordered = json!({"plan": "gold", "product": "weather", "customer": customer});
    let again = subscribe(&service, "\"paid-0001\"", reordered).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(header_values(&again), values);
    assert_eq!((again.status.as_u16(), again.text), (201, text));
    let other = subscribe(&service, "paid-0001", order(&customer, "seats")).await;
    other.problem(422, "idempotency_key_reused");
    let new_key = subscribe(&service, "paid-0002", order(&customer, "gold")).await;
    new_key.problem(409, "subscription_exists");
    assert_eq!(service.calls().await, Vec::<String>::new());
    // It says what was answered then, not what is now.
    super::tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    let again = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    assert_eq!(again["status"], "active");
}

async fn live_paid_subscriptions_keep_their_credentials(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    let credentials = "/v1/portals/acme/modules/stripe/credentials";
    service
        .delete(credentials)
        .await
        .problem(409, "credentials_in_use");
    service
        .delete("/v1/portals/acme")
        .await
        .problem(409, "portal_in_use");
    super::tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    service.delete(credentials).await.expect(204);
    let refused = subscribe(&service, "paid-0002", order(&customer, "gold")).await;
    refused.problem(409, "stripe_not_ready");
}
