//! Bodies: what is no JSON, what is too much of it, and what means nothing here.

use serde_json::{Value, json};

use super::heads::raw;
use super::{members, put, request, send, told, with_body};
use crate::support::api::Operation;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    every_body_has_to_be_json_and_known_to_its_route,
    portals_say_exactly_what_is_wrong,
    the_module_says_exactly_what_is_wrong,
    credentials_say_exactly_what_is_wrong,
);

const LIMIT: usize = 256 * 1024;

/// What no route reads, whatever it takes, and what each says to it.
#[expect(clippy::too_many_lines, reason = "one row per refusal")]
fn refused_by_all() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let malformed = "400 malformed_json";
    let too_deep = "400 json_too_deep";
    let of_no_type = "422 validation_failed [ invalid_type]";
    let text = |body: &str| body.as_bytes().to_vec();
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"a\":{open}{close}}}").into_bytes()
    };
    vec![
        ("a brace", text("{"), malformed),
        ("no value", text("{\"a\":}"), malformed),
        ("a comma too many", text("{\"a\":1,}"), malformed),
        ("single quotes", text("{'a':1}"), malformed),
        ("two values", text("{} {}"), malformed),
        ("a comment", text("{} // x"), malformed),
        ("a byte order mark", text("\u{feff}{}"), malformed),
        ("not UTF-8", b"{\"a\":\"\xff\"}".to_vec(), malformed),
        (
            "overlong UTF-8",
            b"{\"a\":\"\xc0\x80\"}".to_vec(),
            malformed,
        ),
        ("a lone surrogate", text(r#"{"a":"\ud800"}"#), malformed),
        (
            "a surrogate alone in a name",
            text(r#"{"\udfff":1}"#),
            malformed,
        ),
        (
            "a raw control character",
            text("{\"a\":\"\u{1}\"}"),
            malformed,
        ),
        ("a number out of range", text(r#"{"a":1e999}"#), malformed),
        ("NaN", text(r#"{"a":NaN}"#), malformed),
        ("leading zeros", text(r#"{"a":007}"#), malformed),
        (
            "UTF-16",
            "{}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            malformed,
        ),
        ("a NUL", text("\0"), malformed),
        ("33 levels", nested(32), too_deep),
        ("100,000 levels", nested(100_000), too_deep),
        ("brackets without end", text(&"[".repeat(200_000)), too_deep),
        ("just a number", text("1"), of_no_type),
        ("just text", text("\"x\""), of_no_type),
        (
            "an array of the fields' values",
            text(r#"["x",{}]"#),
            of_no_type,
        ),
        ("just true", text("true"), of_no_type),
        (
            "a card number alone",
            text("4242424242424242"),
            "422 pan_detected [ pan_detected]",
        ),
        (
            "a card number as a name",
            text(r#"{"5555-5555-5555-4444":1}"#),
            "422 pan_detected [ pan_detected]",
        ),
        (
            "an unknown field",
            text(r#"{"no_such":1}"#),
            "422 unknown_field [/no_such unknown_field]",
        ),
        (
            "a prototype",
            text(r#"{"__proto__":{}}"#),
            "422 unknown_field [/__proto__ unknown_field]",
        ),
        (
            "a name to be escaped",
            text(r#"{"a/b~c":1}"#),
            "422 unknown_field [/a~1b~0c unknown_field]",
        ),
        (
            "an empty name",
            text(r#"{"":1}"#),
            "422 unknown_field [/ unknown_field]",
        ),
        (
            "32 levels",
            nested(31),
            "422 unknown_field [/a unknown_field]",
        ),
        (
            "as large as may be",
            format!("{{{}", " ".repeat(LIMIT - 1)).into_bytes(),
            malformed,
        ),
        (
            "a byte too large",
            format!("{{{}}}", " ".repeat(LIMIT - 1)).into_bytes(),
            "413 body_too_large",
        ),
    ]
}

/// What a body may be called, and what comes of it.
const CALLED: [(&str, &str, &str); 10] = [
    ("content-type", "", "415 unsupported_media_type"),
    ("content-type", "text/plain", "415 unsupported_media_type"),
    ("content-type", "text/json", "415 unsupported_media_type"),
    (
        "content-type",
        "application/x-www-form-urlencoded",
        "415 unsupported_media_type",
    ),
    (
        "content-type",
        "multipart/form-data; boundary=x",
        "415 unsupported_media_type",
    ),
    (
        "content-type",
        "application/json; charset=iso-8859-1",
        "415 unsupported_media_type",
    ),
    (
        "content-type",
        "application/jsonx",
        "415 unsupported_media_type",
    ),
    (
        "content-type",
        "application/json, text/plain",
        "415 unsupported_media_type",
    ),
    (
        "content-type",
        "Application/JSON ; charset=\"UTF-8\"",
        "400 malformed_json",
    ),
    (
        "content-type",
        "application/json;charset=utf-8",
        "400 malformed_json",
    ),
];

/// Names a compression without being compressed: it is refused before anybody looks.
const COMPRESSIONS: [&str; 4] = ["gzip", "br", "zstd", "identity, gzip"];

async fn every_body_has_to_be_json_and_known_to_its_route(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let before = service.get("/v1/portals/acme/audit-log").await.text;
    for operation in with_body() {
        for (name, body, expected) in refused_by_all() {
            let answer = told(send(&service, &operation, body).await);
            assert_eq!(answer, expected, "{}: {name}", operation.id);
        }
        for (header, value, expected) in CALLED {
            let bad = request(&service, &operation)
                .header(header, value)
                .body("{");
            let answer = told(Service::answer(bad).await);
            assert_eq!(answer, expected, "{}: {header} {value}", operation.id);
        }
        for encoding in COMPRESSIONS {
            let bad = request(&service, &operation)
                .header("content-type", "application/json")
                .header("content-encoding", encoding)
                .body("{}");
            let answer = told(Service::answer(bad).await);
            assert_eq!(
                answer, "415 unsupported_media_type",
                "{}: {encoding}",
                operation.id
            );
        }
        let untyped = request(&service, &operation).body("{}");
        let answer = told(Service::answer(untyped).await);
        assert_eq!(answer, "415 unsupported_media_type", "{}", operation.id);
        // In pieces, so that its length is told by nobody.
        let answer = in_pieces(&service, &operation).await;
        assert!(
            answer.starts_with("HTTP/1.1 413 "),
            "{}: {answer}",
            operation.id
        );
        assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");
        each_field(&service, &operation).await;
    }
    let after = service.get("/v1/portals/acme/audit-log").await.text;
    assert_eq!(after, before, "nothing was done");
}

/// Sends more than may be sent, in pieces.
async fn in_pieces(service: &Service, operation: &Operation) -> String {
    let mut request = format!(
        "{} {} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        operation.method,
        operation.address("acme"),
        service.bearer(),
    );
    for _ in 0..=LIMIT / 4096 {
        request.push_str("1000\r\n");
        request.push_str(&" ".repeat(4096));
        request.push_str("\r\n");
    }
    request.push_str("0\r\n\r\n");
    raw(service, request.as_bytes()).await
}

/// Each field of the example twice, of another type, and with a card number in it.
async fn each_field(service: &Service, operation: &Operation) {
    let example = operation.example();
    for (name, value) in members(operation) {
        let with = |value: &Value| {
            let mut body = example.clone();
            body[&name] = value.clone();
            body.to_string()
        };
        let twice = format!("{{\"{name}\":{value},\"{name}\":{value}}}");
        let answer = told(send(service, operation, twice).await);
        let expected = format!("422 validation_failed [/{name} duplicate_field]");
        assert_eq!(answer, expected, "{}", operation.id);
        for wrong in [
            json!([[]]),
            json!(-1.5),
            json!([{"x": [null]}]),
            json!(u64::MAX),
        ] {
            let answer = told(send(service, operation, with(&wrong)).await);
            if value.is_array() && wrong.is_array() {
                // The list is one, and what stands in it is not what should, or has what is not known.
                let (code, what) = answer.split_once(" [").unwrap_or_default();
                let codes = ["422 validation_failed", "422 unknown_field"];
                assert!(codes.contains(&code), "{}: {answer}", operation.id);
                assert!(
                    what.starts_with(&format!("/{name}/0")),
                    "{}: {answer}",
                    operation.id
                );
                continue;
            }
            let expected = format!("422 validation_failed [/{name} invalid_type]");
            assert_eq!(answer, expected, "{}: {wrong}", operation.id);
        }
        for card in [
            "4242424242424242",
            "3782 822463 10005",
            "6011-1111-1111-1117",
        ] {
            for (wrong, place) in [
                (json!(card), ""),
                (json!([card]), "/0"),
                (json!({"k": card}), "/k"),
            ] {
                let answer = send(service, operation, with(&wrong)).await;
                assert!(!answer.text.contains(card), "{}", answer.text);
                let expected = format!("422 pan_detected [/{name}{place} pan_detected]");
                assert_eq!(told(answer), expected, "{}: {wrong}", operation.id);
            }
        }
    }
}

async fn refused(service: &Service, path: &str, table: &[(&str, &str)]) {
    for (body, expected) in table {
        assert_eq!(put(service, path, body).await, *expected, "{body}");
    }
}

#[expect(clippy::too_many_lines, reason = "one row per refusal")]
async fn portals_say_exactly_what_is_wrong(engine: Database) {
    let service = Service::start(engine).await;
    let long = format!(r#"{{"title":"{}"}}"#, "ä".repeat(201));
    let long_value = format!(
        r#"{{"title":"x","metadata":{{"k":"{}"}}}}"#,
        "v".repeat(501)
    );
    let long_key = format!(r#"{{"title":"x","metadata":{{"{}":""}}}}"#, "k".repeat(41));
    let many: Vec<String> = (0..51).map(|n| format!("\"k{n}\":\"\"")).collect();
    let many = format!(r#"{{"title":"x","metadata":{{{}}}}}"#, many.join(","));
    let table = [
        ("", "400 malformed_json"),
        ("null", "422 validation_failed [ invalid_type]"),
        ("{}", "422 validation_failed [/title missing_field]"),
        (
            r#"{"title":null}"#,
            "422 validation_failed [/title invalid_type]",
        ),
        (
            r#"{"title":1}"#,
            "422 validation_failed [/title invalid_type]",
        ),
        (r#"{"title":""}"#, "422 validation_failed [/title empty]"),
        (
            r#"{"title":" \t\n "}"#,
            "422 validation_failed [/title empty]",
        ),
        (
            r#"{"title":"a\u0000b"}"#,
            "422 validation_failed [/title invalid_value]",
        ),
        (
            r#"{"title":"a\nb"}"#,
            "422 validation_failed [/title invalid_value]",
        ),
        (
            r#"{"title":"a\u0085b"}"#,
            "422 validation_failed [/title invalid_value]",
        ),
        (long.as_str(), "422 validation_failed [/title too_long]"),
        (
            r#"{"title":"sk_live_0123456789abcdef"}"#,
            "422 validation_failed [/title secret_detected]",
        ),
        (
            r#"{"title":"Pay 4242 4242 4242 4242"}"#,
            "422 pan_detected [/title pan_detected]",
        ),
        (
            r#"{"title":"x","id":"y"}"#,
            "422 unknown_field [/id unknown_field]",
        ),
        (
            r#"{"title":"x","created_at":0}"#,
            "422 unknown_field [/created_at unknown_field]",
        ),
        (
            r#"{"title":"x","metadata":null}"#,
            "422 validation_failed [/metadata invalid_type]",
        ),
        (
            r#"{"title":"x","metadata":{"k":1}}"#,
            "422 validation_failed [/metadata/k invalid_type]",
        ),
        (
            r#"{"title":"x","metadata":{"k":null}}"#,
            "422 validation_failed [/metadata/k invalid_type]",
        ),
        (
            r#"{"title":"x","metadata":{"k":{}}}"#,
            "422 validation_failed [/metadata/k invalid_type]",
        ),
        (
            r#"{"title":"x","metadata":{"":"v"}}"#,
            "422 validation_failed [/metadata/ empty]",
        ),
        (
            r#"{"title":"x","metadata":{"k":"\u0000"}}"#,
            "422 validation_failed [/metadata invalid_value]",
        ),
        (
            r#"{"title":"","metadata":{"a/b":"\u0007"}}"#,
            "422 validation_failed [/title empty] [/metadata invalid_value]",
        ),
        (
            long_value.as_str(),
            "422 validation_failed [/metadata/k too_long]",
        ),
        (
            long_key.as_str(),
            "422 validation_failed [/metadata too_long]",
        ),
        (many.as_str(), "422 validation_failed [/metadata too_many]"),
    ];
    refused(&service, "/v1/portals/acme", &table).await;
    service
        .get("/v1/portals/acme")
        .await
        .problem(404, "not_found");
}

#[expect(clippy::too_many_lines, reason = "one row per refusal")]
async fn the_module_says_exactly_what_is_wrong(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let settings = |inside: &str| format!(r#"{{"enabled":true,"settings":{{{inside}}}}}"#);
    let path = "/v1/portals/acme/modules/stripe";
    let table = [
        ("{}", "422 validation_failed [/enabled missing_field]"),
        (
            r#"{"enabled":"true"}"#,
            "422 validation_failed [/enabled invalid_type]",
        ),
        (
            r#"{"enabled":1}"#,
            "422 validation_failed [/enabled invalid_type]",
        ),
        (
            r#"{"enabled":null}"#,
            "422 validation_failed [/enabled invalid_type]",
        ),
        (
            r#"{"enabled":true,"mode":"live"}"#,
            "422 unknown_field [/mode unknown_field]",
        ),
    ];
    refused(&service, path, &table).await;
    for (inside, expected) in [
        (
            r#""grace_period_days":-1"#,
            "422 validation_failed [/settings/grace_period_days invalid_value]",
        ),
        (
            r#""grace_period_days":91"#,
            "422 validation_failed [/settings/grace_period_days invalid_value]",
        ),
        (
            r#""grace_period_days":99999999999"#,
            "422 validation_failed [/settings/grace_period_days invalid_value]",
        ),
        (
            r#""grace_period_days":1.5"#,
            "422 validation_failed [/settings/grace_period_days invalid_type]",
        ),
        (
            r#""grace_period_days":"3""#,
            "422 validation_failed [/settings/grace_period_days invalid_type]",
        ),
        (
            r#""on_unpaid":"maybe""#,
            "422 validation_failed [/settings/on_unpaid invalid_value]",
        ),
        (
            r#""proration":"None""#,
            "422 validation_failed [/settings/proration invalid_value]",
        ),
        (
            r#""graceperiod":1"#,
            "422 unknown_field [/settings/graceperiod unknown_field]",
        ),
        (
            r#""allowed_return_origins":"https://a.example""#,
            "422 validation_failed [/settings/allowed_return_origins invalid_type]",
        ),
        (
            r#""allowed_return_origins":["javascript:alert(1)"]"#,
            "422 validation_failed [/settings/allowed_return_origins/0 invalid_value]",
        ),
        (
            r#""allowed_return_origins":["https://a.example/path"]"#,
            "422 validation_failed [/settings/allowed_return_origins/0 invalid_value]",
        ),
        (
            r#""allowed_return_origins":["https://user@a.example"]"#,
            "422 validation_failed [/settings/allowed_return_origins/0 invalid_value]",
        ),
        (
            r#""allowed_return_origins":["https://a.example\u0000"]"#,
            "422 validation_failed [/settings/allowed_return_origins/0 invalid_value]",
        ),
    ] {
        assert_eq!(
            put(&service, path, &settings(inside)).await,
            expected,
            "{inside}"
        );
    }
}

#[expect(clippy::too_many_lines, reason = "one row per refusal")]
async fn credentials_say_exactly_what_is_wrong(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let path = "/v1/portals/acme/modules/stripe/credentials";
    let both = |publishable: &str, secret: &str| {
        json!({"publishable_key": publishable, "secret_key": secret}).to_string()
    };
    let malformed = |place: &str| format!("422 credentials_malformed [/{place} invalid_value]");
    let (good_publishable, good_secret) = ("pk_test_simulator", "sk_test_simulator");
    for secret in [
        "",
        " ",
        "sk_test_",
        "sk_test_short",
        "sk_test_simulator ",
        "sk_test_simul\u{0}ator",
        "sk_test_simulatör",
        "pk_test_simulator",
        "whsec_simulator",
        "sk_org_simulator1",
        "sk_simulator1",
        "SK_TEST_SIMULATOR",
        "sk_test_simulator\r\nX-Evil: 1",
        "sk_test_•••••••••ator",
        &format!("sk_test_{}", "x".repeat(300)),
    ] {
        let answer = put(&service, path, &both(good_publishable, secret)).await;
        assert_eq!(answer, malformed("secret_key"), "{secret:?}");
    }
    for publishable in [
        "",
        "sk_test_simulator",
        "pk_simulator1",
        "pk_test_simulator\n",
    ] {
        let answer = put(&service, path, &both(publishable, good_secret)).await;
        assert_eq!(answer, malformed("publishable_key"), "{publishable:?}");
    }
    let table = [
        (
            r#"{"publishable_key":"pk_test_simulator"}"#,
            "422 validation_failed [/secret_key missing_field]",
        ),
        (
            r#"{"secret_key":null,"publishable_key":"pk_test_simulator"}"#,
            "422 validation_failed [/secret_key invalid_type]",
        ),
        (
            r#"{"secret_key":["sk_test_simulator"],"publishable_key":"x"}"#,
            "422 validation_failed [/secret_key invalid_type]",
        ),
        (
            r#"{"secret_key":"x","publishable_key":"y"}"#,
            "422 credentials_malformed [/publishable_key invalid_value] [/secret_key invalid_value]",
        ),
        (
            r#"{"secret_key":"sk_live_simulator","publishable_key":"pk_test_simulator"}"#,
            "422 credentials_mode_mismatch",
        ),
        (
            r#"{"secret_key":"sk_test_simulator","publishable_key":"pk_test_simulator","webhook_secret":"sk_test_simulator"}"#,
            "422 credentials_malformed [/webhook_secret invalid_value]",
        ),
        (
            r#"{"secret_key":"sk_test_simulator","publishable_key":"pk_test_simulator","confirm_account_change":"yes"}"#,
            "422 validation_failed [/confirm_account_change invalid_type]",
        ),
        (
            r#"{"secret_key":"sk_test_simulator","publishable_key":"pk_test_simulator","account":"acct_1"}"#,
            "422 unknown_field [/account unknown_field]",
        ),
    ];
    refused(&service, path, &table).await;
    service.get(path).await.problem(404, "not_found");
}
