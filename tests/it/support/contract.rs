//! Whether a request is one that Stripe's API takes: held against the request contract of the
//! pinned version, which the simulator's script generates from Stripe's official SDK. A reading of
//! its own, independent of the simulator's.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use serde_json::Value;

static CONTRACT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/stripe-simulator/contract/requests.json"
    );
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
});

/// A form's values by their brackets.
#[derive(Debug)]
enum Node {
    Leaf(String),
    Branch(BTreeMap<String, Node>),
}

/// What Stripe would object to in this request; empty when nothing.
pub(crate) fn violations(method: &str, path: &str, parameters: &[(String, String)]) -> Vec<String> {
    let Some(schema) = schema_of(method, path) else {
        return vec![format!("{method} {path}: no such operation")];
    };
    let mut root = Node::Branch(BTreeMap::new());
    for (name, value) in parameters {
        if let Err(why) = insert(&mut root, &keys(name), value) {
            return vec![format!("{name}: {why}")];
        }
    }
    let mut found = Vec::new();
    check(schema, &root, "", &mut found);
    found
}

/// All values that an enum of strings has in the contract, by the JSON pointer into the schemas.
pub(crate) fn enum_values(method: &str, path: &str, pointer: &str) -> Vec<String> {
    let schema = schema_of(method, path).unwrap();
    let values = schema.pointer(pointer).unwrap().as_array().unwrap();
    values
        .iter()
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

/// Whether this is the name of an operation when all its placeholders are called `{id}`.
pub(crate) fn has_template(method: &str, name: &str) -> bool {
    let operations = CONTRACT["operations"].as_object().unwrap();
    operations.iter().any(|(template, methods)| {
        let same = template.split('/').map(|part| match part.chars().next() {
            Some('{') => "{id}",
            _ => part,
        });
        same.eq(name.split('/')) && methods.get(method.to_lowercase()).is_some()
    })
}

/// The pinned version that the contract was made for.
pub(crate) fn api_version() -> &'static str {
    CONTRACT["api_version"].as_str().unwrap()
}

fn schema_of(method: &str, path: &str) -> Option<&'static Value> {
    let operations = CONTRACT["operations"].as_object().unwrap();
    // A template without placeholders goes before one with: /invoices/create_preview.
    let methods = operations.get(path).or_else(|| {
        operations
            .iter()
            .find(|(template, _)| fits(template, path))
            .map(|(_, methods)| methods)
    })?;
    let name = methods.get(method.to_lowercase())?.as_str().unwrap();
    CONTRACT["components"]["schemas"].get(name)
}

fn fits(template: &str, path: &str) -> bool {
    template.split('/').count() == path.split('/').count()
        && template
            .split('/')
            .zip(path.split('/'))
            .all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()))
}

/// `a[b][0]` → `a`, `b`, `0`.
fn keys(name: &str) -> Vec<String> {
    name.split('[')
        .map(|part| part.trim_end_matches(']').to_owned())
        .collect()
}

fn insert(node: &mut Node, keys: &[String], value: &str) -> Result<(), String> {
    let Node::Branch(children) = node else {
        return Err("a value and more below it".to_owned());
    };
    let (first, rest) = keys.split_first().unwrap();
    if rest.is_empty() {
        let before = children.insert(first.clone(), Node::Leaf(value.to_owned()));
        return before.map_or(Ok(()), |_| Err("given twice".to_owned()));
    }
    let child = children
        .entry(first.clone())
        .or_insert_with(|| Node::Branch(BTreeMap::new()));
    insert(child, rest, value)
}

fn check(schema: &Value, node: &Node, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = CONTRACT.pointer(&reference.replace('#', "")).unwrap();
        return check(target, node, at, found);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| {
            let mut own = Vec::new();
            check(choice, node, at, &mut own);
            own.is_empty()
        });
        if !fits {
            found.push(format!("{at}: none of the shapes it may have"));
        }
        return;
    }
    match (schema["type"].as_str().unwrap(), node) {
        ("object", Node::Branch(children)) => check_object(schema, children, at, found),
        ("array", Node::Branch(children)) => {
            for (position, (key, child)) in children.iter().enumerate() {
                if key.parse::<usize>().is_err() {
                    found.push(format!("{at}[{position}]: not an element but {key}"));
                }
                check(&schema["items"], child, &format!("{at}[{key}]"), found);
            }
        }
        ("string", Node::Leaf(text)) => {
            let allowed = schema["enum"].as_array();
            if allowed.is_some_and(|allowed| !allowed.iter().any(|value| value == text)) {
                found.push(format!("{at}: {text:?} is not among its values"));
            }
        }
        ("integer", Node::Leaf(text)) if text.parse::<i64>().is_ok() => {}
        ("number", Node::Leaf(text)) if text.parse::<f64>().is_ok() => {}
        ("boolean", Node::Leaf(text)) if text == "true" || text == "false" => {}
        (expected, node) => found.push(format!("{at}: {node:?} is no {expected}")),
    }
}

fn check_object(
    schema: &Value,
    children: &BTreeMap<String, Node>,
    at: &str,
    found: &mut Vec<String>,
) {
    let below = |key: &str| match at {
        "" => key.to_owned(),
        _ => format!("{at}[{key}]"),
    };
    for (key, child) in children {
        let known = &schema["properties"][key];
        if !known.is_null() {
            check(known, child, &below(key), found);
        } else if schema["additionalProperties"].is_object() {
            check(&schema["additionalProperties"], child, &below(key), found);
        } else {
            found.push(format!("{}: unknown", below(key)));
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        let name = required.as_str().unwrap();
        if !children.contains_key(name) {
            found.push(format!("{}: missing", below(name)));
        }
    }
}

const ENDPOINTS: &str = "/v1/webhook_endpoints";

/// Method, path, form, and what is wrong with it.
const TABLE: &[(&str, &str, &str, Option<&str>)] = &[
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events[0]=invoice.paid",
        None,
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events[0]=invoice.paid&metadata[a]=b&metadata[c]=",
        None,
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events[0]=invoice.paid&colour=red",
        Some("colour: unknown"),
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x",
        Some("enabled_events: missing"),
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events[0]=invoice.pain",
        Some("enabled_events[0]: \"invoice.pain\" is not among its values"),
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events=invoice.paid",
        Some("enabled_events: Leaf(\"invoice.paid\") is no array"),
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events[0]=invoice.paid&url=https://y",
        Some("url: given twice"),
    ),
    (
        "POST",
        ENDPOINTS,
        "url=https://x&enabled_events[0]=invoice.paid&connect=1",
        Some("connect: Leaf(\"1\") is no boolean"),
    ),
    (
        "GET",
        ENDPOINTS,
        "limit=ten",
        Some("limit: Leaf(\"ten\") is no integer"),
    ),
    ("GET", "/v1/webhook_endpoints/we_1", "", None),
    (
        "PUT",
        "/v1/webhook_endpoints/we_1",
        "",
        Some("PUT /v1/webhook_endpoints/we_1: no such operation"),
    ),
    (
        "GET",
        "/v1/custommers",
        "",
        Some("GET /v1/custommers: no such operation"),
    ),
    (
        "POST",
        "/v1/subscriptions/sub_1",
        "pause_collection=&cancel_at=max_period_end&items[0][quantity]=2",
        None,
    ),
    (
        "POST",
        "/v1/subscriptions/sub_1",
        "cancel_at=tomorrow",
        Some("cancel_at: none of the shapes it may have"),
    ),
];

#[test]
fn what_stripe_would_refuse_is_found() {
    for (method, path, form, found) in TABLE {
        let parameters: Vec<_> = form
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let violations = violations(method, path, &parameters);
        let expected: Vec<&str> = found.iter().copied().collect();
        assert_eq!(violations, expected, "{method} {path} {form}");
    }
}

/// Stripe's published example of a resource.
pub(crate) fn fixture(resource: &str) -> String {
    static FIXTURES: LazyLock<Value> = LazyLock::new(|| {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/stripe-simulator/contract/fixtures3.json"
        );
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    });
    FIXTURES["resources"][resource].to_string()
}
