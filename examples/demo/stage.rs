//! Where the demo plays: the service's address, a token, the simulator, and somewhere to write.

use std::error::Error;
use std::io::{self, Write};

use portal_billing::clock::Clock;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use stripe_simulator::Simulator;

/// What a step of the story comes to.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How often something that arrives by itself is looked for before the demo gives up.
const LOOKS_MAX: usize = 2_000;
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
        let mut out = io::stdout().lock();
        writeln!(out, "$ {shown} \\\n    '{url}'\nHTTP {status}")?;
        if !answer.is_null() {
            writeln!(out, "{answer:#}")?;
        }
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
