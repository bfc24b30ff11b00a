//! Lists, and who sees what.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    SUBSCRIPTIONS, order, payer, place, plans, publish, read, shop, subscribe, tell, with,
};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    lists_page_newest_first,
    lists_are_filtered,
    an_organization_sees_its_own,
    another_portal_sees_nothing,
    each_of_many_at_once_hears_its_own,
);

async fn ids(service: &Service, query: &str) -> Vec<String> {
    let page = service
        .get(&format!("{SUBSCRIPTIONS}?{query}"))
        .await
        .expect(200);
    let items = page["data"].as_array().unwrap().iter();
    items
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn lists_page_newest_first(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let body = with(
            order("ext:globex", "open"),
            "application",
            format!("app-{number}"),
        );
        let subscription = subscribe(&service, &format!("key-{number:05}"), body)
            .await
            .expect(201);
        made.push(subscription["id"].as_str().unwrap().to_owned());
        // Two of them in one millisecond.
        service.clock.advance_millis(i64::from(number % 2));
    }
    made.reverse();
    let (mut seen, mut path) = (Vec::new(), format!("{SUBSCRIPTIONS}?limit=2"));
    loop {
        let answer = service.get(&path).await;
        let link = answer.header("link").map(str::to_owned);
        let page = answer.expect(200);
        let items = page["data"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        assert_eq!(page["has_more"] == true, link.is_some());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{SUBSCRIPTIONS}?limit=2&cursor={cursor}");
    }
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
    service
        .get(&format!("{SUBSCRIPTIONS}?limit=0"))
        .await
        .problem(422, "validation_failed");
    service
        .get(&format!("{SUBSCRIPTIONS}?cursor=x"))
        .await
        .problem(400, "invalid_cursor");
}

async fn lists_are_filtered(engine: Database) {
    let service = shop(engine).await;
    let globex = payer(&service, "globex").await;
    let initech = service.customer("initech").await;
    publish(&service, "tides", json!([plans()[0]])).await;
    let begin = service.clock.now().to_rfc3339();
    let gold = subscribe(&service, "key-00001", order(&globex, "gold"))
        .await
        .expect(201);
    service.clock.advance_millis(1000);
    let middle = service.clock.now().to_rfc3339();
    let app = with(order("ext:initech", "open"), "application", "app-1");
    let app = subscribe(&service, "key-00002", app).await.expect(201);
    let tides = with(order("ext:globex", "open"), "product", "tides");
    let tides = subscribe(&service, "key-00003", tides).await.expect(201);
    let club = subscribe(&service, "key-00004", order("ext:initech", "club"))
        .await
        .expect(201);
    tell(&service, &tides, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    let initech = initech["id"].as_str().unwrap();
    let cases: [(String, Vec<&Value>); 13] = [
        (String::new(), vec![&gold, &app, &tides, &club]),
        (format!("customer={globex}"), vec![&gold, &tides]),
        ("customer=ext:initech".to_owned(), vec![&app, &club]),
        (format!("customer={initech}&status=active"), vec![&app]),
        ("customer=ext:nobody".to_owned(), vec![]),
        ("product=tides".to_owned(), vec![&tides]),
        ("product=weather&plan=open".to_owned(), vec![&app]),
        ("status=canceled".to_owned(), vec![&tides]),
        ("status=pending_approval".to_owned(), vec![&club]),
        ("application=app-1".to_owned(), vec![&app]),
        (format!("created[lt]={middle}"), vec![&gold]),
        (format!("created[gte]={middle}"), vec![&app, &tides, &club]),
        (format!("created[gte]={begin}&created[lt]={begin}"), vec![]),
    ];
    for (query, expected) in cases {
        let mut expected: Vec<_> = expected
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        let mut seen = ids(&service, &query).await;
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected, "{query}");
    }
    for query in [
        "status=alive",
        "customer=globex",
        "created[gte]=yesterday",
        "colour=red",
    ] {
        let refused = service.get(&format!("{SUBSCRIPTIONS}?{query}")).await;
        assert_eq!(refused.status.as_u16(), 422, "{query}: {}", refused.text);
    }
}

async fn an_organization_sees_its_own(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    service.customer("initech").await;
    let mine = subscribe(&service, "key-00001", order("ext:globex", "open"))
        .await
        .expect(201);
    let theirs = subscribe(&service, "key-00002", order("ext:initech", "open"))
        .await
        .expect(201);
    let call = async |method: Method, path: &str, body: Value| {
        service.call_bound("globex", method, path, body).await
    };
    let page = call(Method::GET, SUBSCRIPTIONS, Value::Null)
        .await
        .expect(200);
    assert_eq!(page["data"], json!([read(&service, &mine).await]));
    let asked = format!("{SUBSCRIPTIONS}?customer=ext:initech");
    assert_eq!(
        call(Method::GET, &asked, Value::Null).await.expect(200)["data"],
        json!([])
    );
    let path =
        |subscription: &Value| format!("{SUBSCRIPTIONS}/{}", subscription["id"].as_str().unwrap());
    call(Method::GET, &path(&mine), Value::Null)
        .await
        .expect(200);
    for (method, path, body) in [
        (Method::GET, path(&theirs), Value::Null),
        (
            Method::PATCH,
            path(&theirs),
            json!({"metadata": {"k": "v"}}),
        ),
        (Method::POST, place(&theirs, "cancel"), json!({"at": "now"})),
        (Method::POST, place(&theirs, "undo-cancel"), Value::Null),
        (
            Method::POST,
            SUBSCRIPTIONS.to_owned(),
            order("ext:initech", "club"),
        ),
    ] {
        call(method, &path, body).await.problem(404, "not_found");
    }
    let patch = json!({"metadata": {"k": "v"}});
    call(Method::PATCH, &path(&mine), patch).await.expect(200);
    let ended = call(Method::POST, &place(&mine, "cancel"), json!({"at": "now"})).await;
    assert_eq!(ended.expect(200)["status"], "canceled");
    assert_eq!(read(&service, &theirs).await["status"], "active");
}

async fn another_portal_sees_nothing(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    service.configured_portal("other").await;
    let made = subscribe(&service, "key-00001", order("ext:globex", "open"))
        .await
        .expect(201);
    let id = made["id"].as_str().unwrap();
    let theirs = "/v1/portals/other/subscriptions";
    assert_eq!(service.get(theirs).await.expect(200)["data"], json!([]));
    service
        .get(&format!("{theirs}/{id}"))
        .await
        .problem(404, "not_found");
    let missing = service
        .get(&format!("{theirs}/subn_01kat5bmf0f3x8q2r7w1e4t6y9"))
        .await;
    missing.problem(404, "not_found");
    service
        .post(&format!("{theirs}/{id}/cancel"), json!({"at": "now"}))
        .await
        .problem(404, "not_found");
    let query = format!("{theirs}?customer={}", made["customer"].as_str().unwrap());
    assert_eq!(service.get(&query).await.expect(200)["data"], json!([]));
    service
        .get("/v1/portals/nothing/subscriptions")
        .await
        .problem(404, "not_found");
}

/// Reads that wait are made as one statement, whoever asks.
async fn each_of_many_at_once_hears_its_own(engine: Database) {
    let service = shop(engine).await;
    service.configured_portal("other").await;
    let mut all = Vec::new();
    for number in 0..6 {
        let organization = format!("globex-{number}");
        service.customer(&organization).await;
        let wanted = order(&format!("ext:{organization}"), "open");
        let made = subscribe(&service, &format!("key-0000{number}"), wanted).await;
        all.push(read(&service, &made.expect(201)).await);
    }
    let service = &service;
    let all = &all;
    let asked = (0..180).map(|number| async move {
        let wanted = &all[number % all.len()];
        let id = wanted["id"].as_str().unwrap();
        let own = format!("{SUBSCRIPTIONS}/{id}");
        match number % 5 {
            0 => {
                let theirs = format!("/v1/portals/other/subscriptions/{id}");
                service.get(&theirs).await.problem(404, "not_found");
            }
            1 => {
                let missing = format!("{SUBSCRIPTIONS}/subn_01kat5bmf0f3x8q2r7w1e4t6y9");
                service.get(&missing).await.problem(404, "not_found");
            }
            2 => {
                let bound = service.call_bound("globex-0", Method::GET, &own, Value::Null);
                let answer = bound.await;
                if wanted["customer"] == all[0]["customer"] {
                    assert_eq!(answer.expect(200), *wanted);
                } else {
                    answer.problem(404, "not_found");
                }
            }
            _ => assert_eq!(service.get(&own).await.expect(200), *wanted),
        }
    });
    join_all(asked).await;
}
