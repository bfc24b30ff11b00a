//! Which fields of an answer `expand[]` may name, by the response shapes: a call with a path that
//! names nothing is refused before it has an effect.

use serde_json::Value;

use super::errors::StripeError;
use super::router::Route;
use crate::shapes;

/// Refuses paths that cannot be expanded in the answers of this operation.
///
/// # Errors
/// Stripe's 400, which names the path.
pub(crate) fn check(route: &Route, paths: &[&str]) -> Result<(), StripeError> {
    // The shapes are large, and parsed only by those who need them.
    if paths.is_empty() {
        return Ok(());
    }
    let Some(returned) = shapes::returned(route.method.name(), route.path) else {
        return Ok(());
    };
    let (name, is_list) = match returned.strip_prefix("list:") {
        Some(item) => (item, true),
        None => (returned, false),
    };
    for path in paths {
        let inner = if is_list {
            path.strip_prefix("data.")
        } else {
            Some(*path)
        };
        let is_count = *path == "total_count" && route.path.ends_with("/search");
        let names_field = inner.is_some_and(|inner| leads_somewhere(name, inner));
        if !names_field && !is_count {
            return Err(refused(path, is_list && inner.is_none()));
        }
    }
    Ok(())
}

/// The refusal; on lists Stripe says how the path should begin.
pub(crate) fn refused(path: &str, hint: bool) -> StripeError {
    let hint = if hint {
        format!(" You may want to try expanding 'data.{path}' instead.")
    } else {
        String::new()
    };
    StripeError::invalid(format!("This property cannot be expanded ({path}).{hint}"))
        .param("expand")
}

fn leads_somewhere(name: &str, path: &str) -> bool {
    let Some(root) = shapes::definition(name) else {
        return true;
    };
    let mut here = vec![root];
    for field in path.split('.') {
        let mut next = Vec::new();
        for schema in here {
            match schema.get("properties") {
                Some(properties) => {
                    if let Some(property) = properties.get(field) {
                        objects(property, &mut next);
                    }
                }
                // A resource outside the scope, whose fields are not described.
                None => return true,
            }
        }
        if next.is_empty() {
            return false;
        }
        here = next;
    }
    true
}

/// The object schemas that a field can hold, itself or in a list.
fn objects<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        found.extend(shapes::definition(name.trim_start_matches("#/$defs/")));
    } else if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        for option in options {
            objects(option, found);
        }
    } else if let Some(items) = schema.get("items") {
        objects(items, found);
    } else if schema.get("type").is_none_or(|kind| kind == "object") && schema.get("enum").is_none()
    {
        found.push(schema);
    }
}

#[cfg(test)]
mod tests {
    use super::leads_somewhere;

    #[test]
    fn paths_follow_the_shapes() {
        for path in [
            "latest_invoice",
            "latest_invoice.payments.data.payment.payment_intent",
            "latest_invoice.confirmation_secret",
            "customer.invoice_settings.default_payment_method",
            "items.data.price.product",
            "default_tax_rates",
        ] {
            assert!(leads_somewhere("Subscription", path), "{path}");
        }
        for path in [
            "",
            "nothing",
            "latest_invoice.nothing",
            "status",
            "items.data.price.currency",
        ] {
            assert!(!leads_somewhere("Subscription", path), "{path}");
        }
    }
}
