//! The request contract: which parameters each operation of the pinned API version takes.
//!
//! `contract/requests.json` is generated from Stripe's official SDK. It stays unparsed text until
//! an operation is first called, so that it costs no start time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::errors::StripeError;
use super::form::Form;

const REQUESTS: &str = include_str!("../../contract/requests.json");
const SCHEMA_PREFIX: &str = "#/components/schemas/";

/// Longest value of an ordinary string parameter, in characters.
const MAX_TEXT: usize = 5_000;
/// Stripe: metadata has at most 50 keys of at most 40 characters, values of at most 500.
const METADATA_KEYS: usize = 50;
const METADATA_KEY: usize = 40;
const METADATA_VALUE: usize = 500;

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

struct Contract {
    operations: HashMap<&'static str, HashMap<&'static str, &'static str>>,
    schemas: HashMap<&'static str, Lazy>,
}

struct Lazy {
    text: &'static str,
    parsed: OnceLock<Schema>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    operations: HashMap<&'a str, HashMap<&'a str, &'a str>>,
    #[serde(borrow)]
    components: Components<'a>,
}

#[derive(Deserialize)]
struct Components<'a> {
    #[serde(borrow)]
    schemas: HashMap<&'a str, &'a RawValue>,
}

impl Contract {
    fn load() -> Self {
        match serde_json::from_str::<Document<'static>>(REQUESTS) {
            Ok(document) => Self {
                operations: document.operations,
                schemas: document
                    .components
                    .schemas
                    .into_iter()
                    .map(|(name, raw)| {
                        (
                            name,
                            Lazy {
                                text: raw.get(),
                                parsed: OnceLock::new(),
                            },
                        )
                    })
                    .collect(),
            },
            // The embedded file is checked by a test; a build with a broken one must not start.
            Err(error) => unreachable!("the embedded contract does not parse: {error}"),
        }
    }

    fn schema(&'static self, name: &str) -> Option<&'static Schema> {
        let lazy = self.schemas.get(name)?;
        Some(lazy.parsed.get_or_init(|| Schema::parse(lazy.text)))
    }
}

/// Whether the contract knows the operation.
#[cfg(test)]
pub(crate) fn knows(method: &str, template: &str) -> bool {
    CONTRACT
        .operations
        .get(template)
        .is_some_and(|methods| methods.contains_key(method))
}

/// Every operation as (method in lower case, path template).
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    CONTRACT
        .operations
        .iter()
        .flat_map(|(path, methods)| methods.keys().map(move |method| (*method, *path)))
}

/// Checks a form against the operation's schema and types its values.
///
/// `method` is in lower case, `template` a path such as `/v1/customers/{customer}`. An operation
/// that the contract lacks takes any parameters, as text.
///
/// # Errors
/// Stripe's 400: `parameter_unknown`, `parameter_missing`, `parameter_invalid_*`.
pub(crate) fn check(
    method: &str,
    template: &str,
    form: Form,
) -> Result<Map<String, Value>, StripeError> {
    let schema = CONTRACT
        .operations
        .get(template)
        .and_then(|methods| methods.get(method))
        .and_then(|name| CONTRACT.schema(name));
    let value = match schema {
        Some(schema) => schema.check(form, "")?,
        None => untyped(form),
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// A form without a schema: every value as text.
pub(crate) fn untyped(form: Form) -> Value {
    match form {
        Form::Text(text) => Value::String(text),
        Form::List(items) => Value::Array(items.into_iter().map(untyped).collect()),
        Form::Map(map) => Value::Object(map.into_iter().map(|(k, v)| (k, untyped(v))).collect()),
    }
}

/// The subset of JSON Schema that the contract uses.
#[derive(Debug)]
enum Schema {
    Text {
        decimal: bool,
    },
    Enum(Vec<String>),
    Integer,
    Number,
    Boolean,
    List(Box<Schema>),
    Object {
        properties: BTreeMap<String, Schema>,
        required: Vec<String>,
    },
    Map(Box<Schema>),
    AnyOf(Vec<Schema>),
    Ref(String),
    Anything,
}

#[derive(Deserialize)]
struct RawSchema {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "enum")]
    values: Option<Vec<Value>>,
    pattern: Option<String>,
    properties: Option<BTreeMap<String, RawSchema>>,
    #[serde(default)]
    required: Vec<String>,
    items: Option<Box<RawSchema>>,
    #[serde(rename = "anyOf")]
    any_of: Option<Vec<RawSchema>>,
    #[serde(rename = "additionalProperties")]
    additional: Option<Additional>,
    #[serde(rename = "$ref")]
    reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Additional {
    Flag(bool),
    Schema(Box<RawSchema>),
}

impl From<RawSchema> for Schema {
    fn from(raw: RawSchema) -> Self {
        if let Some(name) = raw.reference {
            return Self::Ref(name.strip_prefix(SCHEMA_PREFIX).unwrap_or(&name).to_owned());
        }
        if let Some(branches) = raw.any_of {
            return Self::AnyOf(branches.into_iter().map(Self::from).collect());
        }
        if let Some(values) = raw.values {
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            return Self::Enum(values.into_iter().map(text).collect());
        }
        match (raw.kind.as_deref(), raw.properties, raw.additional) {
            (Some("string"), ..) => Self::Text {
                decimal: raw.pattern.is_some(),
            },
            (Some("integer"), ..) => Self::Integer,
            (Some("number"), ..) => Self::Number,
            (Some("boolean"), ..) => Self::Boolean,
            (Some("array"), ..) => Self::List(Box::new(
                raw.items.map_or(Self::Anything, |items| Self::from(*items)),
            )),
            (_, _, Some(Additional::Schema(values))) => Self::Map(Box::new(Self::from(*values))),
            (_, Some(properties), _) => Self::Object {
                properties: properties
                    .into_iter()
                    .map(|(k, v)| (k, Self::from(v)))
                    .collect(),
                required: raw.required,
            },
            (_, None, Some(Additional::Flag(false))) => Self::Object {
                properties: BTreeMap::new(),
                required: Vec::new(),
            },
            _ => Self::Anything,
        }
    }
}

impl Schema {
    fn parse(text: &str) -> Self {
        match serde_json::from_str::<RawSchema>(text) {
            Ok(raw) => Self::from(raw),
            Err(error) => unreachable!("an embedded schema does not parse: {error}"),
        }
    }

    fn check(&'static self, form: Form, path: &str) -> Result<Value, StripeError> {
        match self {
            Self::Ref(name) => match CONTRACT.schema(name) {
                Some(schema) => schema.check(form, path),
                None => Ok(untyped(form)),
            },
            Self::AnyOf(branches) => check_any(branches, &form, path),
            Self::Object {
                properties,
                required,
            } => check_object(properties, required, form, path),
            Self::Map(values) => check_map(values, form, path),
            Self::List(items) => check_list(items, form, path),
            Self::Anything => Ok(untyped(form)),
            Self::Text { .. } | Self::Enum(_) | Self::Integer | Self::Number | Self::Boolean => {
                self.check_scalar(form, path)
            }
        }
    }

    fn check_scalar(&self, form: Form, path: &str) -> Result<Value, StripeError> {
        let text = match form {
            Form::Text(text) => text,
            Form::List(_) | Form::Map(_) => {
                return Err(refused(path, format!("Invalid string: {}", inspect(&form))));
            }
        };
        match self {
            Self::Text { decimal: true } => check_decimal(text, path),
            Self::Text { decimal: false } => check_text(text, path, MAX_TEXT),
            Self::Enum(values) => check_enum(values, text, path),
            _ if text.is_empty() => Err(StripeError::empty_param(path)),
            Self::Integer => text.parse::<i64>().map(Value::from).map_err(|_| {
                refused(path, format!("Invalid integer: {text}")).code("parameter_invalid_integer")
            }),
            Self::Number => text
                .parse::<Number>()
                .map(Value::Number)
                .map_err(|_| refused(path, format!("Invalid decimal: {text}"))),
            _ => match text.as_str() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(refused(path, format!("Invalid boolean: {text}"))),
            },
        }
    }

    /// Whether the schema could take a form of this kind at all, which picks the branch of a
    /// union whose error is worth telling.
    fn fits(&'static self, form: &Form) -> bool {
        match self {
            Self::Ref(name) => CONTRACT.schema(name).is_none_or(|schema| schema.fits(form)),
            Self::AnyOf(branches) => branches.iter().any(|branch| branch.fits(form)),
            Self::Anything => true,
            Self::Object { .. } | Self::Map(_) => matches!(form, Form::Map(_)),
            Self::List(_) => match form {
                Form::List(_) => true,
                Form::Map(map) => !map.is_empty() && map.keys().all(|key| is_position(key)),
                Form::Text(_) => false,
            },
            _ => matches!(form, Form::Text(_)),
        }
    }

    fn allows_empty(&'static self) -> bool {
        match self {
            Self::Enum(values) => values.iter().any(String::is_empty),
            Self::AnyOf(branches) => branches.iter().any(Self::allows_empty),
            _ => false,
        }
    }
}

fn is_position(key: &str) -> bool {
    !key.is_empty() && key.len() <= 6 && key.bytes().all(|byte| byte.is_ascii_digit())
}

fn refused(path: &str, message: String) -> StripeError {
    StripeError::invalid(message).param(path).not_stored()
}

fn check_text(text: String, path: &str, limit: usize) -> Result<Value, StripeError> {
    let length = text.chars().count();
    if length > limit {
        let head: String = text.chars().take(10).collect();
        let tail: String = text.chars().skip(length - 10).collect();
        let message =
            format!("Invalid string: {head}...{tail}; must be at most {limit} characters");
        return Err(refused(path, message));
    }
    Ok(Value::String(text))
}

fn check_decimal(text: String, path: &str) -> Result<Value, StripeError> {
    if text.is_empty() {
        return Err(StripeError::empty_param(path));
    }
    if crate::engine::decimal::Decimal::parse(&text).is_err() {
        return Err(refused(path, format!("Invalid decimal: {text}")));
    }
    Ok(Value::String(text))
}

fn check_enum(values: &[String], text: String, path: &str) -> Result<Value, StripeError> {
    if values.contains(&text) {
        return Ok(Value::String(text));
    }
    if text.is_empty() {
        return Err(StripeError::empty_param(path));
    }
    Err(refused(
        path,
        format!("Invalid {path}: must be one of {}", one_of(values)),
    ))
}

/// `a`, `a or b`, `a, b, or c`, as Stripe lists choices.
fn one_of(values: &[String]) -> String {
    let shown: Vec<&str> = values
        .iter()
        .map(String::as_str)
        .filter(|v| !v.is_empty())
        .collect();
    match shown.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} or {second}"),
        [init @ .., last] => format!("{}, or {last}", init.join(", ")),
    }
}

fn check_any(branches: &'static [Schema], form: &Form, path: &str) -> Result<Value, StripeError> {
    if matches!(form, Form::Text(text) if text.is_empty()) {
        return if branches.iter().any(Schema::allows_empty) {
            Ok(Value::String(String::new()))
        } else {
            Err(StripeError::empty_param(path))
        };
    }
    let mut last = None;
    for branch in branches.iter().filter(|branch| branch.fits(form)) {
        match branch.check(form.clone(), path) {
            Ok(value) => return Ok(value),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| wrong_kind(branches, form, path)))
}

fn wrong_kind(branches: &'static [Schema], form: &Form, path: &str) -> StripeError {
    let wants_object = branches.iter().any(|branch| branch.fits(&Form::empty()));
    let kind = if wants_object { "object" } else { "array" };
    match form {
        Form::Text(_) => refused(path, format!("Invalid {kind}")),
        other => refused(path, format!("Invalid string: {}", inspect(other))),
    }
}

fn check_object(
    properties: &'static BTreeMap<String, Schema>,
    required: &'static [String],
    form: Form,
    path: &str,
) -> Result<Value, StripeError> {
    let map = as_map(form, path)?;
    let unknown: Vec<String> = map
        .keys()
        .filter(|name| !properties.contains_key(*name))
        .map(|name| join(path, name))
        .collect();
    if !unknown.is_empty() {
        return Err(StripeError::unknown_params(&unknown));
    }
    let mut typed = Map::new();
    for (name, form) in map {
        let Some(schema) = properties.get(&name) else {
            continue;
        };
        let path = join(path, &name);
        let empty = matches!(&form, Form::Text(text) if text.is_empty());
        if empty && required.contains(&name) {
            return Err(StripeError::empty_param(&path));
        }
        let value = if name == "metadata" {
            check_metadata(schema, form, &path)?
        } else {
            schema.check(form, &path)?
        };
        typed.insert(name, value);
    }
    if let Some(missing) = required.iter().find(|name| !typed.contains_key(*name)) {
        return Err(StripeError::missing_param(&join(path, missing)));
    }
    Ok(Value::Object(typed))
}

fn check_metadata(schema: &'static Schema, form: Form, path: &str) -> Result<Value, StripeError> {
    if let Form::Map(map) = &form {
        if map.len() > METADATA_KEYS {
            return Err(refused(
                path,
                format!("Metadata can have at most {METADATA_KEYS} keys."),
            ));
        }
        for (key, value) in map {
            if key.chars().count() > METADATA_KEY {
                return Err(refused(
                    path,
                    format!("Metadata keys can be at most {METADATA_KEY} characters long: {key}"),
                ));
            }
            if let Form::Text(text) = value
                && text.chars().count() > METADATA_VALUE
            {
                return Err(refused(
                    &join(path, key),
                    format!(
                        "Metadata values can be at most {METADATA_VALUE} characters long, but you passed a value of length {}. Invalid value: {text}",
                        text.chars().count()
                    ),
                ));
            }
        }
    }
    schema.check(form, path)
}

fn check_map(values: &'static Schema, form: Form, path: &str) -> Result<Value, StripeError> {
    let mut typed = Map::new();
    for (name, form) in as_map(form, path)? {
        let value = values.check(form, &join(path, &name))?;
        typed.insert(name, value);
    }
    Ok(Value::Object(typed))
}

fn as_map(form: Form, path: &str) -> Result<BTreeMap<String, Form>, StripeError> {
    match form {
        Form::Map(map) => Ok(map),
        Form::Text(text) if text.is_empty() => Err(StripeError::empty_param(path)),
        Form::Text(_) | Form::List(_) => Err(refused(path, "Invalid object".to_owned())),
    }
}

fn check_list(items: &'static Schema, form: Form, path: &str) -> Result<Value, StripeError> {
    let items_in: Vec<Form> = match form {
        Form::List(list) => list,
        Form::Map(map) if map.keys().all(|key| is_position(key)) => {
            let mut pairs: Vec<(u32, Form)> = map
                .into_iter()
                .map(|(k, v)| (k.parse().unwrap_or(u32::MAX), v))
                .collect();
            pairs.sort_by_key(|(position, _)| *position);
            pairs.into_iter().map(|(_, form)| form).collect()
        }
        Form::Text(text) if text.is_empty() => return Err(StripeError::empty_param(path)),
        Form::Text(_) | Form::Map(_) => {
            return Err(refused(path, "Invalid array".to_owned()));
        }
    };
    let mut typed = Vec::with_capacity(items_in.len());
    for (position, form) in items_in.into_iter().enumerate() {
        typed.push(items.check(form, &join(path, &position.to_string()))?);
    }
    Ok(Value::Array(typed))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}[{name}]")
    }
}

/// A hash as Stripe's messages show it, shortened.
fn inspect(form: &Form) -> String {
    let text = untyped(form.clone()).to_string();
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::{CONTRACT, operations};

    #[test]
    fn every_operation_has_a_schema_that_parses() {
        let mut count = 0;
        for (method, path) in operations() {
            let name = CONTRACT.operations[path][method];
            assert!(CONTRACT.schema(name).is_some(), "{method} {path}: {name}");
            count += 1;
        }
        assert!(count >= 100, "{count} operations");
        for name in CONTRACT.schemas.keys() {
            CONTRACT.schema(name);
        }
    }
}
