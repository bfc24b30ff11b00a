//! `expand[]`: ids become objects, fields that are left out by default are put in.

use serde_json::{Map, Value};

use super::errors::StripeError;
use super::expandable::refused;
use crate::account::Account;
use crate::registry;

/// Stripe: "Expansions have a maximum depth of four levels."
const MAX_DEPTH: usize = 4;

/// Expands an answer in place.
///
/// # Errors
/// 400 for a path that names nothing expandable, or is deeper than four levels.
pub(crate) fn expand(
    account: &Account,
    answer: &mut Value,
    paths: &[&str],
) -> Result<(), StripeError> {
    let is_list = matches!(kind(answer), "list" | "search_result");
    let is_search = kind(answer) == "search_result";
    for path in paths {
        // Counted by the search itself.
        if is_search && *path == "total_count" {
            continue;
        }
        let parts: Vec<&str> = path.split('.').collect();
        let is_deep = parts.len() > MAX_DEPTH + usize::from(is_list);
        if is_deep {
            return Err(StripeError::invalid(format!(
                "You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
            ))
            .param("expand"));
        }
        walk(account, answer, &parts, path)?;
    }
    Ok(())
}

fn kind(value: &Value) -> &str {
    value
        .get("object")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn walk(
    account: &Account,
    value: &mut Value,
    parts: &[&str],
    whole: &str,
) -> Result<(), StripeError> {
    let Some((field, rest)) = parts.split_first() else {
        return Ok(());
    };
    match value {
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| walk(account, item, parts, whole)),
        Value::Object(map) => {
            put_in(account, map, field, whole, rest.is_empty())?;
            match map.get_mut(*field) {
                Some(child) => descend(account, child, rest, whole),
                None => Ok(()),
            }
        }
        // The path goes on through something that is not there: Stripe ignores it.
        _ => Ok(()),
    }
}

fn descend(
    account: &Account,
    child: &mut Value,
    rest: &[&str],
    whole: &str,
) -> Result<(), StripeError> {
    match child {
        Value::String(id) => match registry::find(account, id) {
            Some(object) => *child = object,
            None if rest.is_empty() => return Err(refused(whole, false)),
            None => return Ok(()),
        },
        Value::Array(items) => {
            for item in items {
                if let Value::String(id) = item
                    && let Some(object) = registry::find(account, id)
                {
                    *item = object;
                }
            }
        }
        _ => {}
    }
    if rest.is_empty() {
        Ok(())
    } else {
        walk(account, child, rest, whole)
    }
}

/// Adds a field that is left out by default; refuses one that does not exist.
fn put_in(
    account: &Account,
    map: &mut Map<String, Value>,
    field: &str,
    whole: &str,
    is_last: bool,
) -> Result<(), StripeError> {
    let object = map
        .get("object")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let id = map.get("id").and_then(Value::as_str).unwrap_or_default();
    match registry::include(object, field) {
        Some(include) => {
            let value = include(account, id);
            map.insert(field.to_owned(), value);
            Ok(())
        }
        None if !map.contains_key(field) => Err(refused(whole, false)),
        // Numbers, flags and ordinary hashes cannot be expanded; hashes may be passed through.
        None => match map.get(field) {
            Some(Value::Bool(_) | Value::Number(_)) if is_last => Err(refused(whole, false)),
            _ => Ok(()),
        },
    }
}
