//! The quick start in README.md, run: its commands work and its answers are real.

use reqwest::Method;
use serde_json::Value;

use crate::support::database::Database;
use crate::support::service::Service;

const README: &str = include_str!("../../README.md");
const ADDRESS: &str = "http://127.0.0.1:8080";

struct Example {
    method: Method,
    path: String,
    body: Value,
    answer: Value,
}

/// Each `$ curl …` line of a console block with the line after it.
fn examples() -> Vec<Example> {
    let mut lines = README.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ curl ") else {
            continue;
        };
        let method = command
            .split("-X ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let body = command
            .split("-d '")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        found.push(Example {
            method: method.unwrap_or("GET").parse().unwrap(),
            path: command.split(ADDRESS).nth(1).unwrap().to_owned(),
            body: body.map_or(Value::Null, |body| serde_json::from_str(body).unwrap()),
            answer: serde_json::from_str(lines.next().unwrap()).unwrap(),
        });
    }
    found
}

/// What differs from run to run, made equal.
fn masked(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        for name in ["created_at", "updated_at", "request_id"] {
            if let Some(member) = members.get_mut(name) {
                assert!(member.is_string());
                *member = Value::Null;
            }
        }
    }
    value
}

#[tokio::test]
async fn the_quick_start_is_real() {
    let service = Service::start(Database::Lite).await;
    let examples = examples();
    assert_eq!(examples.len(), 3);
    for Example {
        method,
        path,
        body,
        answer,
    } in examples
    {
        let real = service.call(method, &path, body).await.json();
        assert_eq!(masked(real), masked(answer), "{path}");
    }
}
