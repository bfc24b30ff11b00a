//! Calls straight from a browser: off, or for configured origins only.

use reqwest::Method;
use serde_json::Value;

use crate::support::database::Database;
use crate::support::service::{Answer, Service};

const PORTAL: &str = "https://portal.example";

async fn preflight(service: &Service, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        (
            "access-control-request-headers",
            "authorization,content-type,if-match",
        ),
    ];
    service
        .call_with(Method::OPTIONS, "/v1/portals/acme", &headers, Value::Null)
        .await
}

#[tokio::test]
async fn off_unless_configured() {
    let service = Service::start(Database::Lite).await;
    let answer = preflight(&service, PORTAL).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    answer.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn only_configured_origins_may_call() {
    let settings = [("cors.allowed_origins", PORTAL)];
    let service = Service::start_with(Database::Lite, &settings).await;
    let allowed = preflight(&service, PORTAL).await;
    assert!(allowed.status.is_success(), "{}", allowed.status);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PORTAL));
    assert!(
        allowed
            .header("access-control-allow-methods")
            .unwrap()
            .contains("PUT")
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert!(allowed.header("x-request-id").is_some());

    let stranger = preflight(&service, "https://evil.example").await;
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    assert!(!stranger.status.is_success());
    stranger.problem(400, "invalid_header");

    // Problems can be read by the page as well.
    let bearer = service.bearer();
    let headers = [("origin", PORTAL), ("authorization", bearer.as_str())];
    let answer = service
        .call_with(Method::GET, "/v1/portals/acme", &headers, Value::Null)
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(PORTAL));
    let exposed = answer
        .header("access-control-expose-headers")
        .unwrap()
        .to_owned();
    assert!(
        exposed.contains("x-request-id") && exposed.contains("etag"),
        "{exposed}"
    );
    answer.problem(404, "not_found");
}
