//! The API as its own document describes it, so that routes that come later are tested without
//! work.

use reqwest::Method;
use serde_json::{Value, json};

/// One operation of the document.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: Method,
    /// With `{parameters}` in it.
    pub(crate) path: String,
    /// The scopes it demands; `None` when it is public.
    pub(crate) scopes: Option<Vec<String>>,
    /// An example of its JSON body, if it has one.
    pub(crate) body: Option<Value>,
    /// Whether a token bound to one organization may use it, for that organization.
    pub(crate) for_organizations: bool,
}

impl Operation {
    pub(crate) fn is_in_portal(&self) -> bool {
        self.path.contains("{portal}")
    }

    /// Its address in this portal; every other parameter gets a name that nothing has.
    pub(crate) fn address(&self, portal: &str) -> String {
        self.path
            .split('/')
            .map(|segment| match segment {
                "{portal}" => portal,
                parameter if parameter.starts_with('{') => "nothing",
                fixed => fixed,
            })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Whether its path is one that this address has.
    pub(crate) fn answers(&self, address: &str) -> bool {
        let mut own = self.path.split('/');
        let mut asked = address.split('/');
        loop {
            match (own.next(), asked.next()) {
                (None, None) => return true,
                (Some(own), Some(asked)) if own == asked || own.starts_with('{') => {}
                _ => return false,
            }
        }
    }

    /// The example body, or null when it has none.
    pub(crate) fn example(&self) -> Value {
        self.body.clone().unwrap_or(Value::Null)
    }
}

/// Every operation of the document.
pub(crate) fn operations() -> Vec<Operation> {
    let document = portal_billing::http::openapi::document();
    let document = serde_json::to_value(document).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else {
                continue;
            };
            operations.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scopes: scopes(operation),
                body: body(&document, operation),
                for_organizations: operation["x-organization-tokens"] == true,
            });
        }
    }
    assert!(operations.len() > 10, "the document has its operations");
    operations
}

fn scopes(operation: &Value) -> Option<Vec<String>> {
    // Public operations say so by an empty list.
    let scopes = operation["security"].as_array()?.first()?["bearer"].as_array()?;
    let scopes = scopes
        .iter()
        .map(|scope| scope.as_str().unwrap().to_owned());
    Some(scopes.collect())
}

fn body(document: &Value, operation: &Value) -> Option<Value> {
    let content = operation["requestBody"]["content"].get("application/json")?;
    if let Some(example) = content.get("example") {
        return Some(example.clone());
    }
    let schema = &content["schema"];
    let named = reference(schema)
        .and_then(|name| document.pointer(&name.replacen('#', "", 1)))
        .unwrap_or(schema);
    Some(named.get("example").cloned().unwrap_or_else(|| json!({})))
}

/// The first `$ref` in a schema, which may be one of several.
fn reference(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(members) => match members.get("$ref") {
            Some(name) => name.as_str().map(str::to_owned),
            None => members.values().find_map(reference),
        },
        Value::Array(items) => items.iter().find_map(reference),
        _ => None,
    }
}
