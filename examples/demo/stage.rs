//! Where the demo plays: the service's address, a token, the simulator, and somewhere to write.

use std::error::Error;
use std::io::{self, Write};

use portal_billing::clock::{Clock, Timestamp};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use stripe_simulator::{DEFAULT_SECRET_KEY, Simulator};

/// What a step of the story comes to.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How often something that arrives by itself is looked for before the demo gives up.
const LOOKS_MAX: usize = 2_000;
/// Characters of a member's value that are shown.
const WIDTH_CHARS: usize = 110;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// See the module.
pub(crate) struct Stage<'a> {
    pub(crate) base_url: String,
    pub(crate) token: String,
    pub(crate) client: Client,
    pub(crate) simulator: &'a Simulator,
    /// The service's clock; Stripe's is moved together with it.
    pub(crate) clock: Clock,
}

/// Says what comes next.
pub(crate) fn say(text: &str) -> Outcome {
    Ok(writeln!(io::stdout().lock(), "\n# {text}")?)
}

/// Fails unless what was found is what the guide promises.
pub(crate) fn promised(found: &Value, promised: &str) -> Outcome {
    if found == promised {
        Ok(())
    } else {
        Err(format!("found {found} instead of {promised}").into())
    }
}

impl Stage<'_> {
    /// One call: shown as curl, sent, its answer shown and compared with the promised status.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
        promised: u16,
    ) -> Outcome<Value> {
        self.call_with(method, path, &[], body, promised).await
    }

    /// As [`Stage::call`], done once however often it is sent.
    pub(crate) async fn once(
        &self,
        path: &str,
        key: &str,
        body: Value,
        promised: u16,
    ) -> Outcome<Value> {
        let key = [("Idempotency-Key", key)];
        self.call_with(Method::POST, path, &key, body, promised)
            .await
    }

    async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
        promised: u16,
    ) -> Outcome<Value> {
        let url = format!("{}{path}", self.base_url);
        let mut shown = match method {
            Method::GET => "curl -sS".to_owned(),
            _ => format!("curl -sS -X {method}"),
        };
        shown.push_str(" -H \"Authorization: Bearer $TOKEN\"");
        let mut request = self.client.request(method, &url).bearer_auth(&self.token);
        for (name, value) in headers {
            shown = format!("{shown} \\\n    -H '{name}: {value}'");
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            shown = format!("{shown} \\\n    -H 'Content-Type: application/json' -d '{body}'");
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let (status, answer) = answer(request).await?;
        let shown = format!("$ {shown} \\\n    '{url}'\nHTTP {status}{}", brief(&answer));
        writeln!(io::stdout().lock(), "{shown}")?;
        if status == promised {
            Ok(answer)
        } else {
            Err(format!("{url} answered {status} instead of {promised}").into())
        }
    }

    /// Looks, without showing it, until the answer's `pointer` is `wanted`: what Stripe reports
    /// arrives by itself, a moment later.
    pub(crate) async fn until(&self, path: &str, pointer: &str, wanted: &str) -> Outcome {
        let url = format!("{}{path}", self.base_url);
        for _ in 0..LOOKS_MAX {
            let request = self.client.get(&url).bearer_auth(&self.token);
            let (_, found) = answer(request).await?;
            if found.pointer(pointer).is_some_and(|value| value == wanted) {
                return Ok(());
            }
        }
        Err(format!("{path}: {pointer} did not become {wanted}").into())
    }

    /// Lets the subscription's period end, and a day more pass: months have different lengths.
    pub(crate) async fn renewal_passes(&self, subscription: &str) -> Outcome {
        let url = format!("{}{subscription}", self.base_url);
        let (_, found) = answer(self.client.get(url).bearer_auth(&self.token)).await?;
        let end = found
            .pointer("/current_period/end")
            .and_then(Value::as_str)
            .and_then(Timestamp::parse_rfc3339)
            .ok_or("the subscription has no period")?;
        let left = end.millis_since(self.clock.now());
        self.days_pass(left / DAY_MS + 2).await
    }

    /// Moves both clocks: Stripe does what is due on the way, and its deliveries arrive.
    pub(crate) async fn days_pass(&self, days: i64) -> Outcome {
        writeln!(io::stdout().lock(), "({days} days pass)")?;
        self.clock.advance_millis(days * DAY_MS);
        self.at_stripe("/clock", json!({"advance_seconds": days * DAY_MS / 1000}))
            .await?;
        let url = format!("{}/_simulator/webhooks/idle", self.simulator.base_url());
        answer(self.client.get(url)).await?;
        Ok(())
    }

    /// The consumer shows the bank who is paying, on the page that the invoice's `action` names.
    pub(crate) async fn bank_approves(&self, invoice: &Value) -> Outcome {
        let id = invoice.pointer("/stripe/invoice").and_then(Value::as_str);
        let base = self.simulator.base_url();
        let url = format!(
            "{base}/v1/invoices/{}?expand[]=confirmation_secret",
            id.unwrap_or_default()
        );
        let request = self.client.get(url).bearer_auth(DEFAULT_SECRET_KEY);
        let (_, there) = answer(request).await?;
        let secret = there.pointer("/confirmation_secret/client_secret");
        let secret = secret.and_then(Value::as_str).unwrap_or_default();
        let intent = secret.split("_secret_").next().unwrap_or_default();
        self.at_stripe(&format!("/bank/{intent}/approve"), json!({}))
            .await?;
        Ok(())
    }

    /// What somebody does at Stripe's side, by the simulator's own routes.
    pub(crate) async fn at_stripe(&self, path: &str, body: Value) -> Outcome<Value> {
        let url = format!("{}/_simulator{path}", self.simulator.base_url());
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string());
        let (status, found) = answer(request).await?;
        if (200..300).contains(&status) {
            Ok(found)
        } else {
            Err(format!("{path} answered {status}: {found}").into())
        }
    }
}

/// An answer as people read it: a line for each member, cut where it is long, without what is empty.
fn brief(answer: &Value) -> String {
    let mut text = String::new();
    for (name, value) in telling(answer) {
        let Some(items) = value.as_array() else {
            text = format!("{text}\n  {name}: {}", cut(value));
            continue;
        };
        text = format!("{text}\n  {name}:");
        for item in items {
            text = format!("{text}\n    {}", cut(item));
        }
    }
    text
}

/// The members of an object that hold something, those first that say most.
fn telling(value: &Value) -> Vec<(&String, &Value)> {
    const FIRST: [&str; 8] = [
        "id", "seq", "type", "code", "action", "status", "decision", "subject",
    ];
    let is_empty = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    let members = value.as_object().into_iter().flatten();
    let mut telling: Vec<_> = members.filter(|(_, value)| !is_empty(value)).collect();
    telling.sort_by_key(|(name, _)| {
        FIRST
            .iter()
            .position(|first| first == name)
            .unwrap_or(FIRST.len())
    });
    telling
}

/// On one line, cut where it is long.
fn cut(value: &Value) -> String {
    let text = if value.is_object() {
        let members = telling(value).into_iter();
        let members: Vec<_> = members
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        format!("{{{}}}", members.join(", "))
    } else {
        value.to_string()
    };
    match text.char_indices().nth(WIDTH_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

async fn answer(request: RequestBuilder) -> Outcome<(u16, Value)> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    let answer = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text)?
    };
    Ok((status, answer))
}
