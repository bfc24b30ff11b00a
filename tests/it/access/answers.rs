//! `GET …/access`: the decision, its entity tag and how long it may be kept.

use portal_billing::domain::subscription::Status;
use reqwest::Method;
use serde_json::{Value, json};

use super::world::{DAY_MS, World, of};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Answer;

on_both_databases!(
    each_state_has_its_answer_by_subscription_and_by_customer,
    grace_ends_by_the_clock_alone_and_payment_restores_at_once,
    a_reader_with_the_answer_gets_none,
    settings_count_at_once,
    the_live_subscription_of_the_application_counts,
    what_is_not_the_callers_looks_like_nothing,
    the_question_is_read_strictly,
);

fn by_customer(customer: &str, product: &str) -> String {
    format!("/v1/portals/acme/access?customer={customer}&product={product}")
}

/// Decision and reason.
fn told(answer: Answer) -> (String, String) {
    let body = answer.expect(200);
    let word = |name: &str| body[name].as_str().unwrap().to_owned();
    (word("decision"), word("reason"))
}

fn words(decision: &str, reason: &str) -> (String, String) {
    (decision.to_owned(), reason.to_owned())
}

async fn each_state_has_its_answer_by_subscription_and_by_customer(engine: Database) {
    let world = World::start(engine).await;
    let now = world.now();
    let rows = [
        (Status::PendingApproval, "deny", "pending_approval"),
        (Status::Provisioning, "deny", "incomplete"),
        (Status::Incomplete, "deny", "incomplete"),
        (Status::Trialing, "allow", "trialing"),
        (Status::Active, "allow", "active"),
        (Status::PastDue, "grace", "past_due"),
        (Status::Unpaid, "deny", "unpaid"),
        (Status::Paused, "deny", "paused"),
        (Status::Canceled, "deny", "canceled"),
        (Status::Expired, "deny", "expired"),
        (Status::Rejected, "deny", "no_subscription"),
    ];
    assert_eq!(rows.len(), Status::ALL.len());
    for (status, decision, reason) in rows {
        let customer = world.customer("acme", status.as_str()).await;
        let subscription = world
            .subscription(&customer, "weather", status, |it| {
                it.unpaid_since = matches!(status, Status::PastDue | Status::Unpaid).then_some(now);
            })
            .await;
        let until = match status {
            Status::PastDue => json!(now.plus_millis(3 * DAY_MS).to_rfc3339()),
            _ => Value::Null,
        };
        let expected = json!({
            "decision": decision,
            "reason": reason,
            "until": until,
            "subscription": subscription.id,
            "plan": "gold",
        });
        let service = &world.service;
        assert_eq!(service.get(&of(&subscription)).await.expect(200), expected);
        let mut by = by_customer(&customer.id, "weather");
        let found = service.get(&by).await.expect(200);
        by = by_customer(&format!("ext:{}", customer.external_id), "weather");
        assert_eq!(service.get(&by).await.expect(200), found);
        if status == Status::Rejected {
            assert_eq!(found["subscription"], Value::Null, "it never was one");
            assert_eq!(found["reason"], "no_subscription");
        } else {
            assert_eq!(found, expected);
        }
    }
    let free = world.customer("acme", "free").await;
    let free = world
        .subscription(&free, "weather", Status::Active, |it| it.paid = false)
        .await;
    let answer = world.service.get(&of(&free)).await;
    assert_eq!(told(answer), words("allow", "free"));
    let nobody = world.customer("acme", "nobody").await;
    let none = world.service.get(&by_customer(&nobody.id, "weather")).await;
    assert_eq!(
        none.expect(200),
        json!({
            "decision": "deny",
            "reason": "no_subscription",
            "until": null,
            "subscription": null,
            "plan": null,
        })
    );
}

async fn grace_ends_by_the_clock_alone_and_payment_restores_at_once(engine: Database) {
    let world = World::start(engine).await;
    let customer = world.customer("acme", "globex").await;
    let subscription = world
        .subscription(&customer, "weather", Status::Active, |_| {})
        .await;
    let path = of(&subscription);
    let max_age = |answer: &Answer| answer.header("cache-control").unwrap().to_owned();

    let active = world.service.get(&path).await;
    assert_eq!(max_age(&active), "private, max-age=30");
    let active_tag = active.header("etag").unwrap().to_owned();
    assert_eq!(told(active), words("allow", "active"));

    let due = world.now();
    let behind = world
        .change(&subscription, |it| {
            it.status = Status::PastDue;
            it.unpaid_since = Some(due);
        })
        .await;
    let grace = world.service.get(&path).await;
    assert_ne!(grace.header("etag").unwrap(), active_tag);
    assert_eq!(max_age(&grace), "private, max-age=30");
    assert_eq!(told(grace), words("grace", "past_due"));

    // Nobody keeps an answer beyond its moment.
    for (left_ms, expected) in [(30_000, 30), (29_999, 29), (1_000, 1), (999, 0), (1, 0)] {
        let to = due.plus_millis(3 * DAY_MS - left_ms);
        world
            .service
            .clock
            .advance_millis(to.millis_since(world.now()));
        let answer = world.service.get(&path).await;
        assert_eq!(max_age(&answer), format!("private, max-age={expected}"));
        assert_eq!(
            told(answer),
            words("grace", "past_due"),
            "{left_ms} ms left"
        );
    }
    world.service.clock.advance_millis(1);
    let over = world.service.get(&path).await;
    assert_eq!(max_age(&over), "private, max-age=30");
    assert_eq!(told(over), words("deny", "past_due"));

    world
        .change(&behind, |it| {
            it.status = Status::Active;
            it.unpaid_since = None;
        })
        .await;
    let paid = world.service.get(&path).await;
    assert_eq!(paid.header("etag").unwrap(), active_tag, "the same answer");
    assert_eq!(told(paid), words("allow", "active"));
}

async fn a_reader_with_the_answer_gets_none(engine: Database) {
    let world = World::start_with(engine, &[("access.max_age_seconds", "7")]).await;
    let customer = world.customer("acme", "globex").await;
    let subscription = world
        .subscription(&customer, "weather", Status::Trialing, |_| {})
        .await;
    for path in [of(&subscription), by_customer("ext:globex", "weather")] {
        let first = world.service.get(&path).await;
        let tag = first.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
        assert_eq!(first.header("vary"), Some("authorization"));
        let bearer = world.service.bearer();
        let again = async |known: &str| {
            let headers = [("authorization", bearer.as_str()), ("if-none-match", known)];
            world
                .service
                .call_with(Method::GET, &path, &headers, Value::Null)
                .await
        };
        for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
            let same = again(&known).await;
            assert_eq!(same.status.as_u16(), 304);
            assert_eq!(same.text, "");
            assert_eq!(same.header("etag"), Some(tag.as_str()));
            assert_eq!(same.header("cache-control"), Some("private, max-age=7"));
        }
        assert_eq!(again("\"other\"").await.status.as_u16(), 200);
    }
    // What the answer does not show does not change its tag; what it shows does.
    let path = of(&subscription);
    let tag = async || {
        let answer = world.service.get(&path).await;
        answer.header("etag").unwrap().to_owned()
    };
    let before = tag().await;
    let after = world.change(&subscription, |it| it.quantity = 5).await;
    assert_eq!(tag().await, before);
    world
        .change(&after, |it| {
            it.cancel_at = Some(world.now().plus_millis(DAY_MS));
        })
        .await;
    assert_ne!(tag().await, before);
}

async fn settings_count_at_once(engine: Database) {
    let world = World::start(engine).await;
    let customer = world.customer("acme", "globex").await;
    let now = world.now();
    let behind = world
        .subscription(&customer, "weather", Status::PastDue, |it| {
            it.unpaid_since = Some(now.plus_millis(-2 * DAY_MS));
        })
        .await;
    let unpaid = world
        .subscription(&customer, "maps", Status::Unpaid, |it| {
            it.unpaid_since = Some(now);
        })
        .await;
    let answers = async || {
        let (one, two) = (of(&behind), of(&unpaid));
        (
            told(world.service.get(&one).await),
            told(world.service.get(&two).await),
        )
    };
    let (one, two) = answers().await;
    assert_eq!(
        (one, two),
        (words("grace", "past_due"), words("deny", "unpaid"))
    );
    let settings =
        json!({"enabled": true, "settings": {"grace_period_days": 1, "on_unpaid": "allow"}});
    world
        .service
        .put("/v1/portals/acme/modules/stripe", settings)
        .await
        .expect(200);
    let (one, two) = answers().await;
    assert_eq!(
        (one, two),
        (words("deny", "past_due"), words("allow", "unpaid"))
    );
    // A disabled module takes nothing new, and what is paid for goes on.
    let disabled = json!({"enabled": false, "settings": {"grace_period_days": 5}});
    world
        .service
        .put("/v1/portals/acme/modules/stripe", disabled)
        .await
        .expect(200);
    let (one, _) = answers().await;
    assert_eq!(one, words("grace", "past_due"));
}

async fn the_live_subscription_of_the_application_counts(engine: Database) {
    let world = World::start(engine).await;
    let customer = world.customer("acme", "globex").await;
    let ask = async |application: &str| {
        let path = format!("{}{application}", by_customer("ext:globex", "weather"));
        let body = world.service.get(&path).await.expect(200);
        let subscription = body["subscription"].as_str().map(str::to_owned);
        (subscription, body["reason"].as_str().unwrap().to_owned())
    };
    let first = world
        .subscription(&customer, "weather", Status::Canceled, |_| {})
        .await;
    assert_eq!(ask("").await, (Some(first.id), "canceled".to_owned()));
    world.service.clock.advance_millis(1_000);
    let second = world
        .subscription(&customer, "weather", Status::Active, |_| {})
        .await;
    world.service.clock.advance_millis(1_000);
    world
        .subscription(&customer, "weather", Status::Rejected, |_| {})
        .await;
    let third = world
        .subscription(&customer, "weather", Status::Expired, |_| {})
        .await;
    // The live one counts, however old; without one, the newest.
    assert_eq!(
        ask("").await,
        (Some(second.id.clone()), "active".to_owned())
    );
    world
        .change(&second, |it| {
            it.status = Status::Canceled;
            it.ended_at = Some(world.now());
        })
        .await;
    assert_eq!(ask("").await, (Some(third.id), "expired".to_owned()));

    let none = (None, "no_subscription".to_owned());
    assert_eq!(ask("&application=mobile").await, none);
    let mobile = world
        .subscription(&customer, "weather", Status::Trialing, |it| {
            it.application = Some("mobile".to_owned());
        })
        .await;
    assert_eq!(
        ask("&application=mobile").await,
        (Some(mobile.id), "trialing".to_owned())
    );
    assert_eq!(ask("&application=desktop").await, none);
    assert_eq!(ask("").await.1, "expired");
    let other = world.service.get(&by_customer("ext:globex", "maps")).await;
    assert_eq!(told(other), words("deny", "no_subscription"));
}

async fn what_is_not_the_callers_looks_like_nothing(engine: Database) {
    let world = World::start(engine).await;
    let ours = world.customer("acme", "globex").await;
    let mine = world
        .subscription(&ours, "weather", Status::Active, |_| {})
        .await;
    let theirs = world.customer("acme", "initech").await;
    let foreign = world
        .subscription(&theirs, "weather", Status::Active, |_| {})
        .await;
    let elsewhere = world.customer("other", "globex").await;
    let far = world
        .subscription(&elsewhere, "weather", Status::Active, |_| {})
        .await;

    let bound = world.service.token(&[
        ("portal", "acme"),
        ("scope", "access:read"),
        ("org", "globex"),
    ]);
    let portals_own = world
        .service
        .token(&[("portal", "acme"), ("scope", "access:read")]);
    for token in [&bound, &portals_own] {
        for path in [of(&mine), by_customer("ext:globex", "weather")] {
            let answer = world.with_token(token, &path).await;
            assert_eq!(answer.expect(200)["subscription"], mine.id);
        }
        let far_in_acme = of(&far).replace("/other/", "/acme/");
        for path in [
            of(&far),
            far_in_acme,
            by_customer(&elsewhere.id, "weather"),
            by_customer("ext:nobody", "weather"),
            "/v1/portals/other/access?customer=ext:globex&product=weather".to_owned(),
            "/v1/portals/acme/subscriptions/subn_00000000000000000000000000/access".to_owned(),
            "/v1/portals/acme/subscriptions/nonsense/access".to_owned(),
        ] {
            let answer = world.with_token(token, &path).await;
            answer.problem(404, "not_found");
        }
    }
    for path in [
        of(&foreign),
        by_customer("ext:initech", "weather"),
        by_customer(&theirs.id, "weather"),
        by_customer("ext:initech", "weather").replace("access?", "access/token?"),
    ] {
        world
            .with_token(&bound, &path)
            .await
            .problem(404, "not_found");
        world.with_token(&portals_own, &path).await.expect(200);
    }
}

async fn the_question_is_read_strictly(engine: Database) {
    let world = World::start(engine).await;
    world.customer("acme", "globex").await;
    for (query, pointer) in [
        ("product=weather", "?customer"),
        ("customer=ext:globex", "?product"),
        ("customer=globex&product=weather", "?customer"),
        ("customer=org_1&product=weather", "?customer"),
        ("customer=ext:globex&product=Weather!", "?product"),
        (
            "customer=ext:globex&product=weather&application=",
            "?application",
        ),
        ("customer=ext:globex&product=weather&plan=gold", "?plan"),
    ] {
        for route in ["access", "access/token"] {
            let path = format!("/v1/portals/acme/{route}?{query}");
            let body = world.service.get(&path).await.expect(422);
            assert_eq!(body["errors"][0]["pointer"], pointer, "{query}: {body}");
        }
    }
}
