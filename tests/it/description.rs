//! The API's description is one that generators of clients can say; see CONTRIBUTING.md, "What a
//! handler type looks like".

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::support::database::Database;
use crate::support::service::Service;

const SCHEMAS: &str = "#/components/schemas/";
/// Operations that take or give any JSON at all: an event of Stripe's, and the description itself.
const ANY_JSON: [&str; 2] = ["stripe_hook_receive", "service_openapi"];

fn document() -> Value {
    serde_json::to_value(portal_billing::http::openapi::document()).unwrap()
}

/// Every operation with its name.
fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let items = document["paths"].as_object().unwrap().values();
    items
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| (operation["operationId"].as_str().unwrap(), operation))
        .collect()
}

fn schemas(document: &Value) -> &Map<String, Value> {
    document["components"]["schemas"].as_object().unwrap()
}

/// The names of all schemas that this part of the document leads to.
fn reached<'a>(document: &'a Value, part: &'a Value, names: &mut BTreeSet<&'a str>) {
    match part {
        Value::Object(members) => {
            if let Some(name) = reference(part)
                && names.insert(name)
            {
                reached(document, &schemas(document)[name], names);
            }
            for (_, member) in members.iter().filter(|(key, _)| *key != "example") {
                reached(document, member, names);
            }
        }
        Value::Array(items) => {
            for item in items {
                reached(document, item, names);
            }
        }
        _ => {}
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(SCHEMAS)
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

fn may_be_null(schema: &Value) -> bool {
    let of = |key: &str| schema[key].as_array().into_iter().flatten();
    of("type").any(|word| word == "null") || of("oneOf").any(is_null)
}

/// What is wrong with a schema that is used at `place`.
fn faults(place: &str, schema: &Value, wrong: &mut Vec<String>) {
    let mut fault = |text: &str| wrong.push(format!("{place}: {text}"));
    if schema.get("allOf").is_some() || schema.get("anyOf").is_some() {
        fault("`allOf` or `anyOf`: give each variant of the union a struct of its own");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let (nulls, others): (Vec<_>, Vec<_>) = choices.iter().partition(|item| is_null(item));
        if others.iter().any(|item| reference(item).is_none()) {
            fault("a choice of the union has no name");
        }
        let told_apart = schema.get("discriminator").is_some();
        if others.len() > 1 && (!told_apart || !nulls.is_empty()) {
            fault("a union is named by itself, tagged, and null only where it is used");
        }
    } else if schema.get("properties").is_some() {
        fault("an object without a name: make it a struct with `ToSchema`");
    } else if schema
        .get("enum")
        .is_some_and(|words| words.as_array().unwrap().len() > 1)
    {
        fault("words without a name: make them an enum with `ToSchema`");
    } else if reference(schema).is_none() && schema.get("type").is_none() {
        fault("could be anything");
    }
    if let Some(items) = schema.get("items") {
        faults(&format!("{place}[]"), items, wrong);
    }
}

#[test]
fn every_schema_can_be_said_by_generators() {
    let document = document();
    let mut wrong = Vec::new();
    for (name, schema) in schemas(&document) {
        let Some(members) = schema["properties"].as_object() else {
            // What is named may be words or a union.
            let is_object = schema["type"] == "object";
            if !is_object && schema.get("enum").is_none() {
                faults(name, schema, &mut wrong);
            }
            continue;
        };
        for (member, schema) in members {
            faults(&format!("{name}.{member}"), schema, &mut wrong);
        }
    }
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let place = format!("{name}({})", parameter["name"]);
            faults(&place, &parameter["schema"], &mut wrong);
        }
        let answers = operation["responses"].as_object().unwrap().values();
        for body in answers.chain(operation.get("requestBody")) {
            for content in body["content"]
                .as_object()
                .into_iter()
                .flat_map(Map::values)
            {
                if !ANY_JSON.contains(&name) || reference(&content["schema"]).is_some() {
                    faults(name, &content["schema"], &mut wrong);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whoever reads an answer wants to look once: at a value or null, or at a value that may be missing.
#[test]
fn what_may_be_null_in_an_answer_is_always_there() {
    let document = document();
    let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for (_, operation) in operations(&document) {
        reached(&document, &operation["requestBody"], &mut asked);
        reached(&document, &operation["responses"], &mut answered);
    }
    let mut wrong = Vec::new();
    for name in &answered {
        let schema = &schemas(&document)[*name];
        let required = schema["required"].as_array().into_iter().flatten();
        let required: BTreeSet<_> = required.filter_map(Value::as_str).collect();
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            let there = required.contains(member.as_str());
            if may_be_null(schema) && !there {
                wrong.push(format!("{name}.{member}: `null` or missing"));
            }
            if schema.get("default").is_some() && asked.contains(name) {
                wrong.push(format!(
                    "{name}.{member}: has a default, and is in answers too"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_operation_belongs_to_one_named_group() {
    let document = document();
    let groups: Vec<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    let mut names = BTreeSet::new();
    for (name, operation) in operations(&document) {
        assert!(names.insert(name), "{name} is there twice");
        let [group] = operation["tags"].as_array().unwrap().as_slice() else {
            panic!("{name} has not one tag");
        };
        assert!(groups.contains(&group), "{name}: {group} is not described");
    }
}

/// Length and coding of a file of the reference, for who says this of what it takes.
async fn docs_file(service: &Service, name: &str, accepted: Option<&str>) -> (usize, String) {
    let url = format!("{}/docs/{name}", service.base_url);
    let mut request = service.client.get(url);
    if let Some(accepted) = accepted {
        request = request.header("accept-encoding", accepted);
    }
    let response = request.send().await.unwrap().error_for_status().unwrap();
    assert_eq!(response.headers()["vary"], "accept-encoding");
    let coding = response.headers().get("content-encoding");
    let coding = coding.map_or_else(String::new, |it| it.to_str().unwrap().to_owned());
    (response.bytes().await.unwrap().len(), coding)
}

#[tokio::test]
async fn the_reference_comes_packed_for_who_takes_it() {
    let service = Service::start(Database::Lite).await;
    let name = "swagger-ui-bundle.js";
    let (packed, coding) = docs_file(&service, name, Some("br, gzip;q=0.5")).await;
    assert_eq!(coding, "gzip");
    for accepted in [None, Some("identity"), Some("br"), Some("gzip;q=0, *")] {
        let (length, coding) = docs_file(&service, name, accepted).await;
        assert_eq!(coding, "", "{accepted:?}");
        assert!(
            length > 3 * packed,
            "{accepted:?}: {length}, packed {packed}"
        );
    }
}
