//! Answers that are none, and connections that break: what a write and a read make of them.

use portal_billing::stripe::{Outcome, StripeClient, StripeError, StripeSettings};

use super::{client, client_with, idempotency_key, impatient, secret_key};
use crate::support::fake_stripe::{FakeStripe, Reaction, answer, answer_with};

const DELETED: &str = r#"{"id":"we_1","deleted":true}"#;
const ACCOUNT: &str = r#"{"id":"acct_1"}"#;

async fn write(client: &StripeClient) -> Result<(), StripeError> {
    client
        .delete_webhook_endpoint(&secret_key(), &idempotency_key(), "we_1")
        .await
        .map(|_| ())
}

async fn read(client: &StripeClient) -> Result<(), StripeError> {
    client.account(&secret_key()).await.map(|_| ())
}

fn huge(limit: usize) -> String {
    format!(
        r#"{{"id":"acct_1","deleted":true,"x":"{}"}}"#,
        "a".repeat(limit)
    )
}

/// A body in chunks, whose size no header tells.
fn chunked(body: &str, ended: bool) -> Vec<u8> {
    let end = if ended { "0\r\n\r\n" } else { "" };
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n{end}")
        .into_bytes()
}

const LIMIT: usize = 64 * 1024;

/// Answers from which nothing may be concluded.
fn nonsense() -> Vec<(&'static str, Reaction)> {
    let cut = |body: &str| {
        let whole = answer(200, body);
        Reaction::Close(whole[..whole.len() - 5].to_vec())
    };
    let other_mode = r#"{"id":"we_1","deleted":true,"livemode":true}"#;
    vec![
        ("html", Reaction::Answer(answer(200, "<html></html>"))),
        ("empty", Reaction::Answer(answer(200, ""))),
        (
            "another object",
            Reaction::Answer(answer(200, r#"{"object":"x"}"#)),
        ),
        ("a list", Reaction::Answer(answer(200, "[]"))),
        (
            "not UTF-8",
            Reaction::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe".to_vec()),
        ),
        (
            "half",
            Reaction::Answer(answer(200, r#"{"id":"we_1","deleted":tr"#)),
        ),
        ("cut off", cut(DELETED)),
        (
            "cut off in chunks",
            Reaction::Close(chunked(DELETED, false)),
        ),
        ("too large", Reaction::Answer(answer(200, &huge(LIMIT)))),
        (
            "too large in chunks",
            Reaction::Answer(chunked(&huge(LIMIT), true)),
        ),
        ("404 without error", Reaction::Answer(answer(404, "{}"))),
        (
            "404 page",
            Reaction::Answer(answer(404, "<h1>Not Found</h1>")),
        ),
        (
            "redirect",
            Reaction::Answer(answer_with(302, &[("Location", "http://127.0.0.1:9/")], "")),
        ),
        ("502 page", Reaction::Answer(answer(502, "<html>"))),
        (
            "500",
            Reaction::Answer(answer(500, r#"{"error":{"type":"api_error"}}"#)),
        ),
        ("other mode", Reaction::Answer(answer(200, other_mode))),
    ]
}

#[tokio::test]
async fn what_is_no_answer_of_stripes_is_never_a_success() {
    for (name, reaction) in nonsense() {
        let stripe = FakeStripe::start(move |_| reaction.clone()).await;
        let client = client_with(&StripeSettings {
            base_url: stripe.base_url().to_owned(),
            max_response_bytes: LIMIT,
            ..StripeSettings::default()
        });
        let error = write(&client).await.unwrap_err();
        assert_eq!(
            error.outcome(),
            Outcome::OutcomeUnknown,
            "{name}: {}",
            error.log_text()
        );
        assert!(error.status().is_some(), "{name}");
        assert_eq!(stripe.recorded().len(), 1, "a write is sent once: {name}");
        let error = read(&client).await.unwrap_err();
        assert_eq!(
            error.outcome(),
            Outcome::Unavailable,
            "{name}: {}",
            error.log_text()
        );
        assert_eq!(
            stripe.recorded().len(),
            2,
            "what was answered is not asked again: {name}"
        );
    }
}

#[tokio::test]
async fn an_answer_up_to_the_limit_is_read() {
    let body = huge(LIMIT - huge(0).len());
    assert_eq!(body.len(), LIMIT);
    for bytes in [answer(200, &body), chunked(&body, true)] {
        let stripe = FakeStripe::start(move |_| Reaction::Answer(bytes.clone())).await;
        let client = client_with(&StripeSettings {
            base_url: stripe.base_url().to_owned(),
            max_response_bytes: LIMIT,
            ..StripeSettings::default()
        });
        assert!(read(&client).await.is_ok());
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = FakeStripe::start(|_| Reaction::Answer(answer(200, ACCOUNT))).await;
    let target = format!("{}/v1/account", elsewhere.base_url());
    for status in [301, 302, 303, 307, 308] {
        let target = target.clone();
        let stripe = FakeStripe::start(move |_| {
            Reaction::Answer(answer_with(status, &[("Location", &target)], ""))
        })
        .await;
        assert!(read(&client(stripe.base_url())).await.is_err());
    }
    assert!(elsewhere.recorded().is_empty());
}

#[tokio::test]
async fn silence_leaves_a_writes_outcome_open_and_is_waited_for_once() {
    let stripe = FakeStripe::scripted(Vec::new()).await;
    let client = impatient(stripe.base_url());
    let error = write(&client).await.unwrap_err();
    assert_eq!(
        (error.outcome(), error.status()),
        (Outcome::OutcomeUnknown, None)
    );
    assert!(error.is_retryable() && !error.is_stored_failure() && !error.is_nonsense());
    let error = read(&client).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unavailable);
    assert_eq!(stripe.recorded().len(), 2);
}

#[tokio::test]
async fn an_answer_that_stops_half_way_is_waited_for_once() {
    let half = answer(200, ACCOUNT)[..60].to_vec();
    let stripe =
        FakeStripe::scripted(vec![Reaction::Answer(half.clone()), Reaction::Answer(half)]).await;
    let client = impatient(stripe.base_url());
    assert_eq!(
        read(&client).await.unwrap_err().outcome(),
        Outcome::Unavailable
    );
    assert_eq!(
        write(&client).await.unwrap_err().outcome(),
        Outcome::OutcomeUnknown
    );
    assert_eq!(stripe.recorded().len(), 2);
}

#[tokio::test]
async fn a_kept_connection_found_dead_costs_a_read_nothing() {
    for death in [Reaction::Reset, Reaction::Close(Vec::new())] {
        let alive = Reaction::Answer(answer(200, ACCOUNT));
        let stripe = FakeStripe::scripted(vec![alive.clone(), death, alive]).await;
        let client = client(stripe.base_url());
        read(&client).await.unwrap();
        read(&client).await.unwrap();
        let recorded = stripe.recorded();
        let connections: Vec<_> = recorded.iter().map(|sent| sent.connection).collect();
        assert_eq!(connections, [0, 0, 1]);
    }
}

/// Each worker of the server has a run time of its own, and a connection lives on the one that
/// opened it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_worker_has_ended_costs_a_write_nothing() {
    let stripe = FakeStripe::start(|request| {
        let body = if request.method == "GET" {
            ACCOUNT
        } else {
            DELETED
        };
        Reaction::Answer(answer(200, body))
    })
    .await;
    let client = client(stripe.base_url());
    let of_worker = client.clone();
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(read(&of_worker))
    });
    tokio::task::spawn_blocking(move || worker.join().unwrap().unwrap())
        .await
        .unwrap();
    write(&client).await.unwrap();
    let connections: Vec<_> = stripe.recorded().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 1]);
}

#[tokio::test]
async fn a_read_is_repeated_once_and_no_more() {
    let stripe = FakeStripe::start(|_| Reaction::Reset).await;
    let error = read(&client(stripe.base_url())).await.unwrap_err();
    assert_eq!(
        (error.outcome(), error.status()),
        (Outcome::Unavailable, None)
    );
    assert_eq!(stripe.recorded().len(), 2);
}

#[tokio::test]
async fn a_write_whose_connection_breaks_is_not_sent_again() {
    for death in [Reaction::Reset, Reaction::Close(Vec::new())] {
        let alive = Reaction::Answer(answer(200, ACCOUNT));
        let stripe = FakeStripe::scripted(vec![alive.clone(), death, alive]).await;
        let client = client(stripe.base_url());
        read(&client).await.unwrap();
        let error = write(&client).await.unwrap_err();
        assert_eq!(
            (error.outcome(), error.status()),
            (Outcome::OutcomeUnknown, None)
        );
        assert_eq!(stripe.recorded().len(), 2);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_was_surely_not_done() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let plain = FakeStripe::start(|_| Reaction::Answer(answer(200, DELETED))).await;
    let plain_as_tls = plain.base_url().replace("http://", "https://");
    for base_url in [
        format!("http://{gone}"),
        plain_as_tls,
        "https://does-not-exist.invalid".to_owned(),
    ] {
        let error = write(&impatient(&base_url)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unavailable, "{base_url}");
        assert!(error.outcome().surely_not_applied() && error.is_retryable());
    }
    assert!(plain.recorded().is_empty());
}

#[tokio::test]
async fn no_failure_shows_the_key() {
    let canary = "sk_test_CanaryCanary";
    let key = portal_billing::domain::stripe_key::ApiKey::parse(canary).unwrap();
    for reaction in [
        Reaction::Answer(answer(
            401,
            r#"{"error":{"type":"invalid_request_error","code":"sk_test_CanaryCanary","message":"Invalid API Key provided: sk_test_CanaryCanary","param":"sk_test_CanaryCanary"}}"#,
        )),
        Reaction::Answer(answer(200, r#"{"key":"sk_test_CanaryCanary"}"#)),
        Reaction::Answer(answer(500, "sk_test_CanaryCanary")),
        Reaction::Reset,
    ] {
        let stripe = FakeStripe::start(move |_| reaction.clone()).await;
        let error = client(stripe.base_url()).account(&key).await.unwrap_err();
        let shown = format!("{error} {error:?} {} {:?}", error.log_text(), error.code());
        assert!(!shown.contains("Canary"), "{shown}");
    }
}
