//! Checks answers against Stripe's response shapes.
//!
//! The shapes (`contract/responses.json`) are generated from the official SDK
//! of the pinned API version. A field that they do not know, a required field
//! that is absent, a wrong type or an unknown enum value is a [`Violation`].

use std::fmt;
use std::sync::LazyLock;

use serde_json::{Map, Value};

static EMBEDDED: LazyLock<Value> = LazyLock::new(|| {
    // The file is generated and its checksum is tested, so it parses; were it
    // broken, every answer would be reported as a violation.
    serde_json::from_str(include_str!("../contract/responses.json")).unwrap_or_default()
});

/// Objects may contain one another without end (a customer's subscriptions'
/// customer), but no answer of Stripe's nests deeper than `expand` allows.
const MAX_DEPTH: usize = 40;

/// The name of the shape of events.
const EVENT: &str = "Event";

/// One place where an answer differs from the shape that Stripe documents.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Where in the answer, such as `data[0].items.data[0].price`.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Checks an answer to `method` (upper or lower case) on `path_template`, such
/// as `/v1/customers/{customer}`. Knows the answer by the operation where the
/// contract names it and otherwise by the answer's own `object`.
///
/// An answer with `deleted: true` need only carry its id and its type.
pub fn check(method: &str, path_template: &str, answer: &Value) -> Vec<Violation> {
    let returns = returned(method, path_template);
    let mut checker = Checker::default();
    match returns.map(|name| name.strip_prefix("list:").ok_or(name)) {
        Some(Ok(item)) => checker.page(answer, Some(item), "", 0),
        Some(Err(name)) => checker.resource(name, answer, "", 0),
        None => checker.by_object(answer, "", 0),
    }
    checker.violations
}

/// Checks one resource, such as the `data.object` of an event, by its `object`.
pub fn check_object(resource: &Value) -> Vec<Violation> {
    let mut checker = Checker::default();
    checker.by_object(resource, "", 0);
    checker.violations
}

#[derive(Default)]
struct Checker {
    violations: Vec<Violation>,
}

impl Checker {
    fn report(&mut self, path: &str, problem: impl Into<String>) {
        self.violations.push(Violation {
            path: if path.is_empty() {
                "(root)".to_owned()
            } else {
                path.to_owned()
            },
            problem: problem.into(),
        });
    }

    fn by_object(&mut self, value: &Value, path: &str, depth: usize) {
        match value.get("object").and_then(Value::as_str) {
            Some("list" | "search_result") => self.page(value, None, path, depth),
            Some(object) => match shape_of_object(object) {
                Some(name) => self.resource(name, value, path, depth),
                None => self.report(path, format!("no shape for object {object:?}")),
            },
            None => self.report(path, "has no `object`"),
        }
    }

    fn page(&mut self, value: &Value, item: Option<&str>, path: &str, depth: usize) {
        let Some(rows) = value.get("data").and_then(Value::as_array) else {
            self.report(path, "a page without `data`");
            return;
        };
        // Pages of API v2 have no `object` and other cursors.
        if let Some(object) = value.get("object") {
            for field in ["has_more", "url"] {
                if value.get(field).is_none() {
                    self.report(path, format!("page without `{field}`"));
                }
            }
            if object != "list" && object != "search_result" {
                self.report(path, format!("a page cannot be {object}"));
            }
        }
        for (index, row) in rows.iter().enumerate() {
            let inner = format!("{}[{index}]", join(path, "data"));
            match item {
                Some(name) => self.resource(name, row, &inner, depth + 1),
                None => self.by_object(row, &inner, depth + 1),
            }
        }
    }

    fn resource(&mut self, name: &str, value: &Value, path: &str, depth: usize) {
        if value.get("deleted") == Some(&Value::Bool(true)) {
            for field in ["id", "object"] {
                if !value.get(field).is_some_and(Value::is_string) {
                    self.report(path, format!("deleted without `{field}`"));
                }
            }
            return;
        }
        match definition(name) {
            Some(schema) => self.schema(schema, value, path, depth),
            None => self.report(path, format!("no shape named {name:?}")),
        }
        // The SDK leaves open what an event is about; it is a resource like any other.
        if let (EVENT, Some(object)) = (name, value.pointer("/data/object")) {
            self.by_object(object, &join(path, "data.object"), depth + 1);
        }
    }

    fn schema(&mut self, schema: &Value, value: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.report(path, "nested too deep");
            return;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.trim_start_matches("#/$defs/");
            self.resource(name, value, path, depth + 1);
        } else if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            self.any_of(options, value, path, depth);
        } else if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            if !allowed.contains(value) {
                self.report(path, format!("{value} is not one of the documented values"));
            }
        } else {
            self.typed(schema, value, path, depth);
        }
    }

    fn any_of(&mut self, options: &[Value], value: &Value, path: &str, depth: usize) {
        let mut closest: Option<Vec<Violation>> = None;
        for option in options {
            let mut attempt = Self::default();
            attempt.schema(option, value, path, depth + 1);
            if attempt.violations.is_empty() {
                return;
            }
            // The option that is of the value's type explains best what is wrong.
            let better = closest.as_ref().is_none_or(|best| {
                let alien = |found: &[Violation]| found.iter().any(|v| v.path == path);
                (alien(&attempt.violations), attempt.violations.len()) < (alien(best), best.len())
            });
            if better {
                closest = Some(attempt.violations);
            }
        }
        self.violations.extend(closest.unwrap_or_default());
    }

    fn typed(&mut self, schema: &Value, value: &Value, path: &str, depth: usize) {
        let Some(kind) = schema.get("type").and_then(Value::as_str) else {
            return;
        };
        let fits = match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        if !fits {
            self.report(
                path,
                format!("{} where {kind} is documented", kind_of(value)),
            );
            return;
        }
        if let (Some(items), Some(rows)) = (schema.get("items"), value.as_array()) {
            for (index, row) in rows.iter().enumerate() {
                self.schema(items, row, &format!("{path}[{index}]"), depth + 1);
            }
        }
        if let Some(fields) = value.as_object() {
            self.fields(schema, fields, path, depth);
        }
    }

    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str, depth: usize) {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.report(path, format!("required field `{name}` is absent"));
            }
        }
        let Some(known) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        // The shape of a page names only its rows; the rest is the same for all.
        let page = fields.get("object").is_some_and(|object| object == "list");
        for (name, value) in fields {
            let inner = join(path, name);
            match known.get(name) {
                Some(shape) => self.schema(shape, value, &inner, depth + 1),
                None if page => {}
                None => self.report(&inner, "field is not documented"),
            }
        }
    }
}

fn shape_of_object(object: &str) -> Option<&'static str> {
    EMBEDDED.get("objects")?.get(object)?.as_str()
}

/// What an operation answers with: the name of a shape, behind `list:` for a page of them.
pub(crate) fn returned(method: &str, path_template: &str) -> Option<&'static str> {
    let verbs = EMBEDDED.get("returns")?.get(path_template)?;
    verbs.get(method.to_ascii_lowercase())?.as_str()
}

/// The schema of a shape.
pub(crate) fn definition(name: &str) -> Option<&'static Value> {
    EMBEDDED.get("$defs")?.get(name)
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fixture(name: &str) -> Value {
        let all: Value = serde_json::from_str(include_str!("../contract/fixtures3.json")).unwrap();
        all["resources"][name].clone()
    }

    fn problems(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn embedded_shapes_describe_the_billing_resources() {
        for object in [
            "customer",
            "subscription",
            "invoice",
            "payment_intent",
            "event",
        ] {
            assert!(shape_of_object(object).is_some(), "{object}");
        }
    }

    #[test]
    fn a_fixture_of_stripe_conforms() {
        assert_eq!(
            problems(&check_object(&fixture("coupon"))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn stripes_fixtures_of_the_served_resources_conform() {
        let all: Value = serde_json::from_str(include_str!("../contract/fixtures3.json")).unwrap();
        let mut served = 0;
        for (name, fixture) in all["resources"].as_object().unwrap() {
            let object = fixture["object"].as_str().unwrap_or_default();
            if shape_of_object(object).is_none() {
                continue;
            }
            served += 1;
            let mut found = problems(&check_object(fixture));
            // The fixtures are older than the pinned version, which moved or dropped these.
            found.retain(|problem| {
                problem != "subscription: field is not documented"
                    && problem != "data.object.aggregate_usage: field is not documented"
            });
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
        assert!(served >= 60, "only {served} fixtures were checked");
    }

    #[test]
    fn a_missing_required_field_is_named() {
        let mut coupon = fixture("coupon");
        coupon.as_object_mut().unwrap().remove("duration");
        let found = problems(&check("GET", "/v1/coupons/{coupon}", &coupon));
        assert_eq!(found, ["(root): required field `duration` is absent"]);
    }

    #[test]
    fn wrong_types_enums_and_unknown_fields_are_named() {
        let mut coupon = fixture("coupon");
        coupon["duration"] = json!("sometimes");
        coupon["times_redeemed"] = json!("0");
        coupon["invented"] = json!(1);
        let mut found = problems(&check("get", "/v1/coupons/{coupon}", &coupon));
        found.sort();
        assert_eq!(
            found,
            [
                "duration: \"sometimes\" is not one of the documented values",
                "invented: field is not documented",
                "times_redeemed: string where integer is documented",
            ]
        );
    }

    #[test]
    fn pages_are_checked_row_by_row() {
        let page = json!({"object": "list", "url": "/v1/coupons", "data": [{"object": "coupon"}]});
        let found = problems(&check("get", "/v1/coupons", &page));
        assert!(
            found.contains(&"(root): page without `has_more`".to_owned()),
            "{found:?}"
        );
        assert!(
            found.contains(&"data[0]: required field `id` is absent".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn what_an_event_is_about_is_checked_too() {
        let mut event = fixture("event");
        event["data"]["object"] = fixture("coupon");
        assert_eq!(problems(&check_object(&event)), Vec::<String>::new());
        event["data"]["object"]["valid"] = json!("yes");
        let found = problems(&check_object(&event));
        assert_eq!(
            found,
            ["data.object.valid: string where boolean is documented"]
        );
    }

    #[test]
    fn a_deleted_resource_needs_only_its_id_and_type() {
        let gone = json!({"id": "cus_1", "object": "customer", "deleted": true});
        assert_eq!(check("delete", "/v1/customers/{customer}", &gone), []);
        let nameless = json!({"object": "customer", "deleted": true});
        assert_eq!(
            check("delete", "/v1/customers/{customer}", &nameless).len(),
            1
        );
    }
}
