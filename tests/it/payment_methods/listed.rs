//! What time makes of cards, and how they are listed.

use reqwest::Method;
use serde_json::{Value, json};

use super::{billing, methods};
use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(cards_expire_by_themselves, lists_page);

/// A card that is good to the end of the month so many months from now.
async fn card_for(service: &Service, months: i32) -> String {
    let (year, month) = service.clock.now().year_and_month();
    let last = year * 12 + month - 1 + months;
    let (year, month) = ((last / 12).to_string(), (last % 12 + 1).to_string());
    let form = [
        ("type", "card"),
        ("card[number]", "4242424242424242"),
        ("card[exp_month]", month.as_str()),
        ("card[exp_year]", year.as_str()),
    ];
    let made = service.stripe("/v1/payment_methods", &form).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn cards_expire_by_themselves(engine: Database) {
    let service = billing(engine).await;
    let mut paths = Vec::new();
    for (months, status) in [(0, "expiring"), (1, "expiring"), (2, "usable")] {
        let card = card_for(&service, months).await;
        let saved = service
            .save(
                "ext:globex",
                &format!("save-{months:04}"),
                json!({"payment_method": card, "default": false}),
            )
            .await;
        let tag = saved.header("etag").unwrap().to_owned();
        let saved = saved.expect(201);
        assert_eq!(saved["status"], status, "{months}");
        let id = saved["id"].as_str().unwrap().to_owned();
        paths.push((format!("{}/{id}", methods("globex")), id, tag));
    }
    // The operator's token lives for a month, the cards longer.
    let token = service.token(&[("lifetime", "366d"), ("scope", "all"), ("portal", "acme")]);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let now = service.clock.now().year_and_month();
    while service.clock.now().year_and_month() == now {
        service.clock.advance_millis(24 * 60 * 60 * 1000);
    }
    let own = format!("{CUSTOMERS}/ext:globex");
    for ((path, id, before), status) in paths.iter().zip(["expired", "expiring", "expiring"]) {
        let read = service
            .call_with(Method::GET, path, &headers, Value::Null)
            .await;
        let changed = read.header("etag") != Some(before.as_str());
        let read = read.expect(200);
        assert_eq!(read["status"], status);
        assert_eq!(
            changed,
            *id != paths[1].1,
            "what looks different has another tag"
        );
        let to = json!({"default_payment_method": id});
        let answer = service.call_with(Method::PATCH, &own, &headers, to).await;
        if status == "expired" {
            answer.problem(409, "payment_method_unusable");
        } else {
            answer.expect(200);
        }
    }
}

async fn lists_page(engine: Database) {
    let service = billing(engine).await;
    for n in 0..5 {
        let card = service.card("visa").await;
        service
            .save(
                "ext:globex",
                &format!("save-{n:04}"),
                json!({"payment_method": card}),
            )
            .await
            .expect(201);
        service.clock.advance_millis(5);
    }
    let mut seen = Vec::new();
    let mut path = format!("{}?limit=2", methods("globex"));
    loop {
        let page = service.get(&path).await.expect(200);
        let data = page["data"].as_array().unwrap().iter();
        seen.extend(data.map(|it| it["created_at"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{}?limit=2&cursor={cursor}", methods("globex"));
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.reverse();
    assert_eq!((seen.len(), &seen), (5, &sorted));
}
