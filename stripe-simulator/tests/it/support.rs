//! A simulator and a client for one test.

use std::fmt::Write;

use serde_json::Value;
use stripe_simulator::{Builder, ClockMode, DEFAULT_SECRET_KEY, Simulator};
use ureq::Agent;
use ureq::http::Response;

/// 2026-01-01T00:00:00Z, where the clocks of tests stand.
pub(crate) const START: i64 = 1_767_225_600;

/// A simulator with a frozen clock, and a client that uses its default key.
pub(crate) struct Stripe {
    pub(crate) simulator: Simulator,
    pub(crate) key: String,
    agent: Agent,
}

/// An answer, read.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body of a 200; panics with the answer otherwise.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// The `error` object of an answer of this status.
    #[track_caller]
    pub(crate) fn error(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body["error"].clone()
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_default().to_owned()
    }
}

impl Stripe {
    pub(crate) fn start() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = Simulator::builder()
            .clock(ClockMode::Frozen { at: START })
            .check_responses(true);
        let simulator = configure(builder).start().unwrap();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Self {
            simulator,
            key: DEFAULT_SECRET_KEY.to_owned(),
            agent,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], &[])
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], &[])
    }

    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send("POST", path, form, &[])
    }

    /// Moves the account's clock forward.
    pub(crate) fn advance(&self, seconds: i64) {
        let body = serde_json::json!({ "advance_seconds": seconds });
        self.admin("POST", "/clock", body).ok();
    }

    /// A call of an admin route, such as `/clock`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write the body in place with json!"
    )]
    pub(crate) fn admin(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        self.send_raw(method, &format!("/_simulator{path}"), body.as_bytes(), &[])
    }

    /// A request with further headers; one of the same name replaces ours.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Reply {
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        self.send_raw(method, path, body.join("&").as_bytes(), headers)
    }

    pub(crate) fn send_raw(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Reply {
        self.try_send(method, path, body, headers).unwrap()
    }

    /// The same, for connections that may break.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<Reply, ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(self.url(path));
        let own = [
            ("authorization", format!("Bearer {}", self.key)),
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ];
        for (name, value) in &own {
            if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                request = request.header(*name, value);
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let outcome = if method == "POST" {
            self.agent.run(request.body(body).unwrap())
        } else {
            self.agent.run(request.body(()).unwrap())
        };
        outcome.map(read)
    }
}

/// Every answer of every test has Stripe's shape, or the test fails.
impl Drop for Stripe {
    fn drop(&mut self) {
        let violations = self.simulator.violations();
        if !std::thread::panicking() {
            assert!(
                violations.is_empty(),
                "not Stripe's shapes: {violations:#?}"
            );
        }
    }
}

fn read(mut response: Response<ureq::Body>) -> Reply {
    let bytes = response.body_mut().read_to_vec().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Reply {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    value.to_str().unwrap_or_default().to_owned(),
                )
            })
            .collect(),
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
    }
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}
