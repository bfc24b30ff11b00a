//! Invoices as Stripe tells of them.

use portal_billing::clock::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{World, event, later};
use super::{DAY, INVOICES, behind, invoice, invoices};
use crate::subscriptions::{advance, order, payer, read, subscribe, told_of};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    an_invoice_is_here_as_it_is_there,
    every_disturbance_ends_the_same,
    an_event_in_order_costs_no_call_and_an_older_one_changes_nothing,
    an_invoice_of_many_lines_is_read_in_whole,
    what_stripe_tells_by_a_payment_alone_is_asked_for,
    a_deleted_draft_is_void,
    an_invoice_of_nobody_here_is_foreign,
    lists_are_filtered_and_show_what_is_the_callers,
);

/// A time of Stripe's as the API says it.
fn time(seconds: &Value) -> Value {
    seconds.as_i64().map_or(Value::Null, |seconds| {
        json!(Timestamp::from_seconds(seconds).to_rfc3339())
    })
}

/// What the API says of an invoice is what Stripe says of it.
async fn is_as_there(world: &World, here: &Value) {
    let id = here["stripe"]["invoice"].as_str().unwrap();
    let there = world.get_there(&format!("/v1/invoices/{id}")).await;
    for name in ["status", "number", "attempt_count"] {
        assert_eq!(here[name], there[name], "{name} of {here}");
    }
    assert_eq!(here["reason"], there["billing_reason"]);
    assert_eq!(here["hosted_url"], there["hosted_invoice_url"]);
    assert_eq!(here["pdf_url"], there["invoice_pdf"]);
    assert_eq!(
        here["next_attempt_at"],
        time(&there["next_payment_attempt"])
    );
    assert_eq!(here["created_at"], time(&there["created"]));
    for name in ["subtotal", "total", "amount_due", "amount_paid"] {
        let money = json!({"amount": there[name], "currency": there["currency"]});
        assert_eq!(here[name], money, "{name}");
    }
    let lines = there["lines"]["data"].as_array().unwrap();
    let shown: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "description": line["description"],
                "amount": {"amount": line["amount"], "currency": line["currency"]},
                "quantity": line["quantity"],
                "unit_amount_decimal": line["pricing"]["unit_amount_decimal"],
                "period": {
                    "start": time(&line["period"]["start"]), "end": time(&line["period"]["end"]),
                },
                "proration": false,
            })
        })
        .collect();
    assert_eq!(here["lines"], json!(shown));
    assert_eq!(here["period"], shown[0]["period"]);
}

async fn an_invoice_is_here_as_it_is_there(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = payer(&world.service, "globex").await;
    let made = subscribe(&world.service, "subscribe-1", order(&customer, "gold"))
        .await
        .expect(201);
    world.rest().await;
    let all = invoices(&world).await;
    assert_eq!(all.len(), 1);
    let first = &all[0];
    is_as_there(&world, first).await;
    assert_eq!(first["status"], "paid");
    assert_eq!(
        first["amount_paid"],
        json!({"amount": 1500, "currency": "usd"})
    );
    assert_eq!(first["customer"], json!(customer));
    assert_eq!(first["subscription"], made["id"]);
    assert_eq!(first["action"], Value::Null);
    let now = read(&world.service, &made).await;
    assert_eq!(now["latest_invoice"], first["id"]);

    // A month later there is another one, and the subscription shows it.
    for _ in 0..4 {
        advance(&world.service, 8 * DAY).await;
        world.rest().await;
    }
    let all = invoices(&world).await;
    assert_eq!(all.len(), 2, "newest first");
    is_as_there(&world, &all[0]).await;
    assert_eq!(all[0]["reason"], "subscription_cycle");
    assert_eq!(all[1]["id"], first["id"]);
    let now = read(&world.service, &made).await;
    assert_eq!(now["latest_invoice"], all[0]["id"]);
    assert_eq!(now["current_period"], all[0]["period"]);

    for subject in [&all[0]["id"], &all[1]["id"], &made["id"]] {
        let told = told_of(&world.service, subject).await;
        let numbers: Vec<i64> = told.iter().map(|(_, number)| *number).collect();
        let expected: Vec<i64> = (1..=i64::try_from(told.len()).unwrap()).collect();
        assert_eq!(numbers, expected, "{told:?}");
    }
    let told = told_of(&world.service, &all[0]["id"]).await;
    assert_eq!(told[0].0, "invoice.created");
    assert_eq!(told.last().unwrap().0, "invoice.paid");
    let path = format!("{INVOICES}/{}", all[0]["id"].as_str().unwrap());
    let answer = world.service.get(&path).await;
    let tag = answer.header("etag").unwrap().to_owned();
    let bearer = world.service.bearer();
    let headers = [("authorization", bearer.as_str()), ("if-none-match", &tag)];
    let same = world
        .service
        .call_with(Method::GET, &path, &headers, Value::Null)
        .await;
    assert_eq!(same.status.as_u16(), 304);
}

async fn every_disturbance_ends_the_same(engine: Database) {
    for plan in [
        json!({"duplicates": 2}),
        json!({"same_second": true, "shuffle": true, "duplicates": 1}),
    ] {
        let world = World::delivering(engine).await;
        world.plan(plan.clone()).await;
        let customer = payer(&world.service, "globex").await;
        let made = subscribe(&world.service, "subscribe-1", order(&customer, "gold"))
            .await
            .expect(201);
        world.rest().await;
        super::pays_with(&world, &made, "chargeCustomerFail").await;
        for _ in 0..6 {
            advance(&world.service, 8 * DAY).await;
            world.rest().await;
        }
        let all = invoices(&world).await;
        assert!(all.len() >= 2, "{plan}");
        for one in &all {
            is_as_there(&world, one).await;
            let told = told_of(&world.service, &one["id"]).await;
            let numbers: Vec<i64> = told.iter().map(|(_, number)| *number).collect();
            let expected: Vec<i64> = (1..=i64::try_from(told.len()).unwrap()).collect();
            assert_eq!(numbers, expected, "{plan}: {told:?}");
        }
        let inbox = world.inbox().await;
        assert!(inbox.values().all(|status| status != "dead"), "{inbox:?}");
    }
}

async fn an_event_in_order_costs_no_call_and_an_older_one_changes_nothing(engine: Database) {
    let (world, _, _, open) = behind(engine, "chargeCustomerFail").await;
    let id = open["stripe"]["invoice"].as_str().unwrap();
    let mut there = world.get_there(&format!("/v1/invoices/{id}")).await;
    world.service.forget_calls().await;
    let at = later(&world.service, 0);
    there["attempt_count"] = json!(9);
    world
        .deliver(&event("evt_1", "invoice.payment_failed", at, &there))
        .await;
    let now = invoice(&world, &open["id"]).await;
    assert_eq!(now["attempt_count"], 9);
    let told = told_of(&world.service, &open["id"]).await;
    assert_eq!(told.last().unwrap().0, "invoice.payment_failed");
    there["attempt_count"] = json!(5);
    world
        .deliver(&event("evt_0", "invoice.updated", at - 1, &there))
        .await;
    assert_eq!(invoice(&world, &open["id"]).await, now);
    let inbox = world.inbox().await;
    assert_eq!(
        (inbox["evt_1"].as_str(), inbox["evt_0"].as_str()),
        ("applied", "stale")
    );
    // An end is an end, whenever it is told, and nothing follows it.
    there["status"] = json!("uncollectible");
    let given_up = event("evt_2", "invoice.marked_uncollectible", at - 5, &there);
    world.deliver(&given_up).await;
    assert_eq!(
        invoice(&world, &open["id"]).await["status"],
        "uncollectible"
    );
    there["status"] = json!("open");
    world
        .deliver(&event("evt_3", "invoice.updated", at + 5, &there))
        .await;
    assert_eq!(
        invoice(&world, &open["id"]).await["status"],
        "uncollectible"
    );
    assert_eq!(world.service.calls().await, [""; 0]);
    // The same second, and something else: Stripe is asked. It never gave it up.
    there["status"] = json!("uncollectible");
    there["attempt_count"] = json!(5);
    there["number"] = json!("ANOTHER");
    world
        .deliver(&event("evt_4", "invoice.updated", at - 5, &there))
        .await;
    assert_eq!(
        invoice(&world, &open["id"]).await["status"],
        "uncollectible"
    );
}

async fn an_invoice_of_many_lines_is_read_in_whole(engine: Database) {
    let (world, _, _, open) = behind(engine, "chargeCustomerFail").await;
    let customer = world
        .get_there(&format!(
            "/v1/invoices/{}",
            open["stripe"]["invoice"].as_str().unwrap()
        ))
        .await["customer"]
        .clone();
    let customer = customer.as_str().unwrap();
    let draft = world
        .service
        .stripe(
            "/v1/invoices",
            &[("customer", customer), ("auto_advance", "false")],
        )
        .await;
    let draft = draft["id"].as_str().unwrap();
    for n in 0..13 {
        let description = format!("Item {n}");
        let form = [
            ("customer", customer),
            ("invoice", draft),
            ("amount", "100"),
            ("currency", "usd"),
            ("description", &description),
        ];
        world.service.stripe("/v1/invoiceitems", &form).await;
    }
    world
        .service
        .stripe(&format!("/v1/invoices/{draft}/finalize"), &[])
        .await;
    world.rest().await;
    let all = invoices(&world).await;
    let made = all
        .iter()
        .find(|one| one["stripe"]["invoice"] == draft)
        .unwrap();
    assert_eq!(made["lines"].as_array().unwrap().len(), 13);
    assert_eq!(made["total"]["amount"], 1300);
    assert_eq!(made["subscription"], Value::Null, "it is for none");
    assert_eq!(made["status"], "open");
}

async fn what_stripe_tells_by_a_payment_alone_is_asked_for(engine: Database) {
    let (world, _, _, open) = behind(engine, "chargeCustomerFail").await;
    // Everything Stripe delivers by itself is lost from here on.
    world.plan(json!({"hold": true})).await;
    let id = open["stripe"]["invoice"].as_str().unwrap();
    let paid_out = [("paid_out_of_band", "true")];
    world
        .service
        .stripe(&format!("/v1/invoices/{id}/pay"), &paid_out)
        .await;
    assert_eq!(invoice(&world, &open["id"]).await["status"], "open");
    world.service.forget_calls().await;
    let part = json!({"id": "inpay_1", "object": "invoice_payment", "invoice": id});
    world
        .deliver(&event(
            "evt_1",
            "invoice_payment.paid",
            later(&world.service, 0),
            &part,
        ))
        .await;
    // It waits a little: as a rule the invoice itself is told of as well.
    assert_eq!(world.inbox().await["evt_1"], "parked");
    world.rest().await;
    assert_eq!(world.inbox().await["evt_1"], "applied");
    assert_eq!(invoice(&world, &open["id"]).await["status"], "paid");
    assert_eq!(world.service.calls().await, ["GET /v1/invoices/{invoice}"]);
    let foreign = json!({"id": "inpay_2", "object": "invoice_payment", "invoice": "in_foreign"});
    world
        .deliver(&event(
            "evt_2",
            "invoice_payment.paid",
            later(&world.service, 0),
            &foreign,
        ))
        .await;
    assert_eq!(world.inbox().await["evt_2"], "foreign");
}

async fn a_deleted_draft_is_void(engine: Database) {
    let (world, _, _, open) = behind(engine, "chargeCustomerFail").await;
    let id = open["stripe"]["invoice"].as_str().unwrap();
    let mut draft = world.get_there(&format!("/v1/invoices/{id}")).await;
    draft["id"] = json!("in_draft");
    draft["status"] = json!("draft");
    let at = later(&world.service, 0);
    world
        .deliver(&event("evt_1", "invoice.created", at, &draft))
        .await;
    // Of the same second as the open one: it may stand before it or behind it.
    let all = invoices(&world).await;
    let is_draft = |one: &&Value| one["stripe"]["invoice"] == "in_draft";
    let made = all.iter().find(is_draft).unwrap().clone();
    assert_eq!(made["status"], "draft");
    draft["deleted"] = json!(true);
    world
        .deliver(&event("evt_2", "invoice.deleted", at + 1, &draft))
        .await;
    assert_eq!(invoice(&world, &made["id"]).await["status"], "void");
    let told = told_of(&world.service, &made["id"]).await;
    let types: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(types, ["invoice.created", "invoice.voided"]);
    // One that was never told of leaves nothing.
    draft["id"] = json!("in_never");
    world
        .deliver(&event("evt_3", "invoice.deleted", at + 2, &draft))
        .await;
    assert_eq!(world.inbox().await["evt_3"], "stale");
    assert!(
        invoices(&world)
            .await
            .iter()
            .all(|one| one["stripe"]["invoice"] != "in_never")
    );
}

async fn an_invoice_of_nobody_here_is_foreign(engine: Database) {
    let (world, _, _, open) = behind(engine, "chargeCustomerFail").await;
    let before = invoices(&world).await;
    let id = open["stripe"]["invoice"].as_str().unwrap();
    let mut other = world.get_there(&format!("/v1/invoices/{id}")).await;
    other["id"] = json!("in_other");
    other["customer"] = json!("cus_other");
    other["parent"] = Value::Null;
    let at = later(&world.service, 0);
    world
        .deliver(&event("evt_1", "invoice.paid", at, &other))
        .await;
    assert_eq!(world.inbox().await["evt_1"], "foreign");
    assert_eq!(invoices(&world).await, before);
    // What is said of money and belongs to no invoice changes nothing.
    let refund = json!({"id": "re_1", "object": "refund", "amount": 5});
    world
        .deliver(&event("evt_2", "refund.created", at, &refund))
        .await;
    assert_eq!(world.inbox().await["evt_2"], "applied");
    assert_eq!(invoices(&world).await, before);
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn lists_are_filtered_and_show_what_is_the_callers(engine: Database) {
    let (world, customer, subscription, open) = behind(engine, "chargeCustomerFail").await;
    let ids = async |query: &str| -> Vec<Value> {
        let page = world.service.get(&format!("{INVOICES}?{query}")).await;
        let page = page.expect(200);
        let data = page["data"].as_array().unwrap().iter();
        data.map(|one| one["id"].clone()).collect()
    };
    let all: Vec<Value> = ids("limit=100").await;
    assert_eq!(all.len(), 2);
    assert_eq!(all[0], open["id"]);
    let subscription = subscription["id"].as_str().unwrap();
    let newest = open["created_at"].as_str().unwrap();
    for (query, expected) in [
        ("status=open".to_owned(), vec![all[0].clone()]),
        ("status=paid".to_owned(), vec![all[1].clone()]),
        ("status=void".to_owned(), vec![]),
        (format!("customer={customer}"), all.clone()),
        ("customer=ext:globex".to_owned(), all.clone()),
        ("customer=ext:nobody".to_owned(), vec![]),
        (
            format!("subscription={subscription}&status=open"),
            vec![all[0].clone()],
        ),
        ("subscription=subn_nothing".to_owned(), vec![]),
        (format!("created[gte]={newest}"), vec![all[0].clone()]),
        (format!("created[lt]={newest}"), vec![all[1].clone()]),
    ] {
        assert_eq!(ids(&query).await, expected, "{query}");
    }
    let first = world
        .service
        .get(&format!("{INVOICES}?limit=1"))
        .await
        .expect(200);
    assert_eq!(
        (&first["data"][0]["id"], &first["has_more"]),
        (&all[0], &json!(true))
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(
        ids(&format!("limit=1&cursor={cursor}")).await,
        [all[1].clone()]
    );
    for bad in [
        "status=late",
        "created[gte]=today",
        "customer=globex",
        "year=2026",
    ] {
        let answer = world.service.get(&format!("{INVOICES}?{bad}")).await;
        answer.problem(
            422,
            if bad.starts_with("year") {
                "unknown_field"
            } else {
                "validation_failed"
            },
        );
    }

    let path = format!("{INVOICES}/{}", open["id"].as_str().unwrap());
    let service = &world.service;
    let own = service
        .call_bound("globex", Method::GET, INVOICES, Value::Null)
        .await;
    assert_eq!(own.expect(200)["data"].as_array().unwrap().len(), 2);
    service
        .call_bound("globex", Method::GET, &path, Value::Null)
        .await
        .expect(200);
    service.customer("initech").await;
    let others = service
        .call_bound("initech", Method::GET, INVOICES, Value::Null)
        .await;
    assert_eq!(others.expect(200)["data"], json!([]));
    let named = format!("{INVOICES}?customer=ext:globex");
    let others = service
        .call_bound("initech", Method::GET, &named, Value::Null)
        .await;
    assert_eq!(others.expect(200)["data"], json!([]));
    service
        .call_bound("initech", Method::GET, &path, Value::Null)
        .await
        .problem(404, "not_found");
    service.enabled_portal("other").await;
    let there = path.replace("/acme/", "/other/");
    service.get(&there).await.problem(404, "not_found");
    let there = service.get("/v1/portals/other/invoices").await.expect(200);
    assert_eq!(there["data"], json!([]));
}
