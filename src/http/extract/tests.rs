use super::*;
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Outer {
    inner: Inner,
    #[serde(default)]
    list: Vec<i32>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    name: String,
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    One,
}

fn refused(json: &str) -> (Code, String, String) {
    let error = parse_json::<Outer>(json.as_bytes()).unwrap_err();
    let field = error.field_errors().first().cloned();
    let (pointer, what) = field.map_or((String::new(), String::new()), |f| {
        (f.pointer, f.code.as_str().to_owned())
    });
    (error.code(), pointer, what)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row per kind of refusal")]
fn refusals_point_at_the_place() {
    let cases = [
        (
            r#"{"inner":{"name":"x"},"extra":1}"#,
            Code::UnknownField,
            "/extra",
            "unknown_field",
        ),
        (
            r#"{"inner":{"name":"x","y":1}}"#,
            Code::UnknownField,
            "/inner/y",
            "unknown_field",
        ),
        (
            r#"{"inner":{}}"#,
            Code::ValidationFailed,
            "/inner/name",
            "missing_field",
        ),
        (r"{}", Code::ValidationFailed, "/inner", "missing_field"),
        (
            r#"[{"name":"x"}]"#,
            Code::ValidationFailed,
            "",
            "invalid_type",
        ),
        (
            r#"{"inner":{"name":1}}"#,
            Code::ValidationFailed,
            "/inner/name",
            "invalid_type",
        ),
        (
            r#"{"inner":{"name":"x","kind":"two"}}"#,
            Code::ValidationFailed,
            "/inner/kind",
            "invalid_value",
        ),
        (
            r#"{"inner":{"name":"x"},"list":[1,"a"]}"#,
            Code::ValidationFailed,
            "/list/1",
            "invalid_type",
        ),
        (
            r#"{"inner":{"name":"x","name":"y"}}"#,
            Code::ValidationFailed,
            "/inner/name",
            "duplicate_field",
        ),
        (r#"{"inner":{"name":"x"}"#, Code::MalformedJson, "", ""),
        (r#"{"inner":{"name":"x"}} x"#, Code::MalformedJson, "", ""),
        ("", Code::MalformedJson, "", ""),
        ("\u{feff}{}", Code::MalformedJson, "", ""),
        (
            r#"{"inner":{"name":"4242 4242 4242 4242"}}"#,
            Code::PanDetected,
            "/inner/name",
            "pan_detected",
        ),
        (
            r#"{"4242424242424242":1}"#,
            Code::PanDetected,
            "",
            "pan_detected",
        ),
        (
            r#"{"list":[4242424242424242]}"#,
            Code::PanDetected,
            "/list/0",
            "pan_detected",
        ),
    ];
    for (json, code, pointer, what) in cases {
        assert_eq!(
            refused(json),
            (code, pointer.to_owned(), what.to_owned()),
            "{json}"
        );
    }
    let invalid_utf8 = parse_json::<Outer>(b"{\"inner\":\"\xff\"}").unwrap_err();
    assert_eq!(invalid_utf8.code(), Code::MalformedJson);
}

#[test]
fn depth_is_counted_outside_strings() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(check_depth(nested(32).as_bytes()).is_ok());
    assert_eq!(
        check_depth(nested(33).as_bytes()).unwrap_err().code(),
        Code::JsonTooDeep
    );
    assert!(check_depth(format!("\"{}\"", "[\\\"".repeat(100)).as_bytes()).is_ok());
}

#[test]
fn the_refused_value_is_not_repeated() {
    let error = parse_json::<Outer>(br#"{"inner":{"name":"x","kind":"sk_live_secret"}}"#);
    let fields = error.unwrap_err().field_errors().to_vec();
    assert!(
        !format!("{fields:?}").contains("sk_live_secret"),
        "{fields:?}"
    );
}
