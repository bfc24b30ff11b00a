//! Methods, paths, queries and headers.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::told;
use crate::support::api::operations;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    other_methods_are_named,
    odd_paths_lead_nowhere,
    odd_queries_are_refused,
    no_list_is_narrowed_by_more_than_is_said,
    odd_headers_are_refused,
);

/// Sends exactly these bytes; gives everything that comes until the connection is closed.
pub(super) async fn raw(service: &Service, bytes: &[u8]) -> String {
    let address = service.base_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be closed before everything was read; the answer is what counts.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request line as it stands here, as the operator; gives status and code.
async fn asked(service: &Service, method: &str, target: &str) -> String {
    let bearer = service.bearer();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(service, head.as_bytes()).await;
    status_and_code(&answer)
}

fn status_and_code(answer: &str) -> String {
    let status = answer.split(' ').nth(1).unwrap_or("closed");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    match problem["code"].as_str() {
        Some(code) => format!("{status} {code}"),
        None => status.to_owned(),
    }
}

async fn other_methods_are_named(engine: Database) {
    let service = Service::start(engine).await;
    let all = operations();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for operation in &all {
        let methods = known.entry(operation.address("acme")).or_default();
        methods.push(operation.method.to_string());
    }
    // Where a fixed name stands in place of another route's parameter, the other route may answer that
    // nothing has that name.
    let answered = |path: &str, method: &str| {
        all.iter()
            .any(|it| it.method.as_str() == method && it.answers(path))
    };
    for (path, mut methods) in known {
        methods.sort();
        for method in [
            "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "get",
        ] {
            if answered(&path, method) {
                continue;
            }
            let request = service
                .client
                .request(
                    Method::from_bytes(method.as_bytes()).unwrap(),
                    format!("{}{path}", service.base_url),
                )
                .header("authorization", service.bearer());
            let answer = Service::answer(request).await;
            let mut allow: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
            allow.sort_unstable();
            assert_eq!(allow, methods, "{method} {path}");
            assert_eq!(answer.status.as_u16(), 405, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(told(answer), "405 method_not_allowed", "{method} {path}");
            }
        }
    }
}

async fn odd_paths_lead_nowhere(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    service.enabled_portal("etc").await;
    for target in [
        "/v1/portals/",
        "/v1//portals",
        "//v1/portals",
        "/v1/portals/acme/",
        "/V1/portals",
        "/v1",
        "/v1/portals/ACME",
        "/v1/portals/acme;x=1",
        "/v1/portals/acme.json",
        "/v1/portals/acme%20",
        "/v1/portals/acme%00",
        "/v1/portals/acme%0a",
        "/v1/portals/acme%2f",
        "/v1/portals/%",
        "/v1/portals/acme%2fmodules%2fstripe",
        "/v1/portals/%2e%2e%2fetc",
        "/v1/portals/..%5cetc",
        "/v1/portals/../portals/acme",
        "/v1/portals/acme/../etc",
        "/v1/portals/./acme",
        "/v1/portals/%2e",
        "/v1/portals/%c3%a4",
        "/v1/portals/%ff",
        "/v1/portals/%c0%ae",
        "/v1/portals/-acme",
        "/v1/portals/%zz",
        "/v1/portals/acme'--",
        "/v1/portals/acme%27%20OR%201=1",
        "/v1/portals/*",
        "/v1/portals/{portal}",
        "/v1/portals/4242424242424242",
        "/docs/../openapi.json",
        "/docs/..%2f..%2fCargo.toml",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "/problems/..%2fnot_found",
        "/problems/Not_Found",
        "/.git/config",
        "/v1/portals/acme/modules/Stripe",
        "/v1/portals/acme/modules/stripe/credentials/",
        "/favicon.ico",
    ] {
        assert_eq!(
            asked(&service, "GET", target).await,
            "404 not_found",
            "{target}"
        );
    }
    let longest = format!("/v1/portals/{}", "a".repeat(63));
    assert_eq!(asked(&service, "GET", &longest).await, "404 not_found");
    let too_long = format!("/v1/portals/{}", "a".repeat(20_000));
    let answer = service.get(&too_long).await;
    assert!(
        answer.text.len() < 2_000,
        "the path is not repeated without end"
    );
    answer.problem(404, "not_found");
    // Written in another way, and still the same name.
    assert_eq!(asked(&service, "GET", "/v1/portals/%61cme").await, "200");
    assert_eq!(
        asked(&service, "GET", "http://elsewhere/v1/portals/acme").await,
        "200"
    );
    for target in ["*", "acme"] {
        assert_eq!(
            asked(&service, "GET", target).await,
            "404 not_found",
            "{target}"
        );
    }
}

async fn odd_queries_are_refused(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let unknown = "422 unknown_field";
    let invalid = "422 validation_failed";
    for list in ["/v1/portals", "/v1/portals/acme/audit-log"] {
        for (query, expected) in [
            ("page=2", format!("{unknown} [?page unknown_field]")),
            (
                "limit[gte]=2",
                format!("{unknown} [?limit[gte] unknown_field]"),
            ),
            ("4242424242424242=1", format!("{unknown} [? unknown_field]")),
            (
                "sk_live_0123456789abcdef=1",
                format!("{unknown} [? unknown_field]"),
            ),
            ("limit=0", format!("{invalid} [?limit invalid_value]")),
            ("limit=101", format!("{invalid} [?limit invalid_value]")),
            (
                "limit=1&limit=2",
                format!("{invalid} [?limit duplicate_field]"),
            ),
            ("limit=-1", format!("{invalid} [? invalid_value]")),
            ("limit=99999", format!("{invalid} [? invalid_value]")),
            ("limit=1e1", format!("{invalid} [? invalid_value]")),
            ("limit=", format!("{invalid} [? invalid_value]")),
            ("limit=x", format!("{invalid} [? invalid_value]")),
            ("cursor=", "400 invalid_cursor".to_owned()),
            ("cursor=x", "400 invalid_cursor".to_owned()),
            ("cursor=%00", "400 invalid_cursor".to_owned()),
            ("cursor=%ff", "400 invalid_cursor".to_owned()),
            ("cursor=W10", "400 invalid_cursor".to_owned()),
        ] {
            let answer = service.get(&format!("{list}?{query}")).await;
            assert_eq!(told(answer), expected, "{list}?{query}");
        }
        let long = format!("{list}?cursor={}", "A".repeat(20_000));
        assert_eq!(told(service.get(&long).await), "400 invalid_cursor");
    }
}

#[expect(clippy::too_many_lines, reason = "one row per refusal")]
async fn odd_headers_are_refused(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let bearer = service.bearer();
    let with = async |name: &str, value: &str| {
        let headers = [("authorization", bearer.as_str()), (name, value)];
        service
            .call_with(Method::GET, "/v1/portals/acme", &headers, Value::Null)
            .await
    };
    for name in ["if-match", "if-none-match"] {
        for value in [
            "",
            "x",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b\"",
            "\"a\",b",
            "W/",
            "W/a",
            "'a'",
            ",",
            "\"a\" \"b\"",
            "**",
        ] {
            assert_eq!(
                told(with(name, value).await),
                "400 invalid_header",
                "{name}: {value}"
            );
        }
    }
    let id = "abc.DEF_123-";
    assert_eq!(
        with("x-request-id", id).await.header("x-request-id"),
        Some(id)
    );
    let long = "x".repeat(129);
    for bad in [
        "",
        " ",
        "a b",
        "a\"b",
        "<script>",
        "a,b",
        "a;b",
        "\u{e4}",
        long.as_str(),
        "4242424242424242",
        "sk_live_0123456789abcdef",
        "${jndi:ldap://x}",
        "%0d%0a",
    ] {
        let answer = with("x-request-id", bad).await;
        let ours = answer.header("x-request-id").unwrap();
        assert_eq!(ours.len(), 26, "{bad}: {ours}");
    }
    for (name, bytes, expected) in [
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("no version", "GET /healthz\r\n\r\n".to_owned(), "400"),
        ("a space in a header's name", "GET /healthz HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n".to_owned(), "400"),
        ("two lengths", "POST /v1/portals HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), "400"),
        ("a length and pieces", "POST /v1/portals HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "400"),
        ("a length that is none", "POST /v1/portals HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(), "400"),
        ("a header too long", format!("GET /healthz HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(200_000)), "431"),
        ("too many headers", format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200)), "431"),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned() + "\r\n\r\n", "400"),
    ] {
        let answer = raw(&service, bytes.as_bytes()).await;
        assert_eq!(status_and_code(&answer), expected, "{name}: {answer}");
    }
}

/// What the document says of lists: the address of each, and each text with a greatest length that it may be
/// narrowed by.
fn narrowing() -> Vec<(String, String, usize)> {
    let document = serde_json::to_value(portal_billing::http::openapi::document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let address = path.replace("{portal}", "acme");
        let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        let queries: Vec<&Value> = parameters.filter(|it| it["in"] == "query").collect();
        if address.contains('{') || queries.iter().any(|it| it["required"] == true) {
            continue;
        }
        for query in queries {
            if let Some(most) = query["schema"]["maxLength"].as_u64() {
                let name = query["name"].as_str().unwrap().to_owned();
                found.push((address.clone(), name, usize::try_from(most).unwrap()));
            }
        }
    }
    found
}

async fn no_list_is_narrowed_by_more_than_is_said(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    let all = narrowing();
    assert!(all.len() > 12, "{all:?}");
    for (address, name, most) in all {
        let narrowed = async |text: String| service.get(&format!("{address}?{name}={text}")).await;
        if name == "cursor" {
            let refused = narrowed("a".repeat(most + 1)).await;
            refused.problem(400, "invalid_cursor");
            continue;
        }
        // Characters, not bytes.
        narrowed("\u{e4}".repeat(most)).await.expect(200);
        let refused = narrowed("\u{e4}".repeat(most + 1)).await;
        let refused = refused.problem(422, "validation_failed");
        let error = &refused["errors"][0];
        assert_eq!(error["pointer"], format!("?{name}"), "{address}: {refused}");
        assert_eq!(error["code"], "too_long", "{address}: {refused}");
    }
}
