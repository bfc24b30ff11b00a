//! Bad input over a bare socket: Stripe's errors or a 4xx, never a panic, and the
//! simulator goes on serving.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;
use stripe_simulator::Simulator;

const FORM: &str = "application/x-www-form-urlencoded";

/// What came back: the status and the body, or nothing if the connection was cut.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn error(&self) -> Value {
        let body: Value = serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("{} without JSON: {:?}", self.status, self.body));
        body["error"].clone()
    }
}

/// Sends a whole request and reads until the server hangs up.
fn exchange(simulator: &Simulator, bytes: &[u8]) -> Option<Answer> {
    talk(simulator, bytes, false)
}

/// Sends bytes and then no more, as a client that dies does.
fn exchange_cut(simulator: &Simulator, bytes: &[u8]) -> Option<Answer> {
    talk(simulator, bytes, true)
}

fn talk(simulator: &Simulator, bytes: &[u8], cut: bool) -> Option<Answer> {
    let mut stream = TcpStream::connect(simulator.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The server may answer and hang up before it has read everything.
    let _ = stream.write_all(bytes);
    if cut {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split_whitespace().nth(1)?.parse().ok()?;
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    Some(Answer { status, body })
}

fn head(method: &str, path: &str, content_type: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer sk_test_simulator\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn post(simulator: &Simulator, content_type: &str, body: &[u8]) -> Option<Answer> {
    let mut bytes = head("POST", "/v1/customers", content_type, body.len()).into_bytes();
    bytes.extend_from_slice(body);
    exchange(simulator, &bytes)
}

/// The account works, and nothing of the bad input became a customer.
fn assert_unharmed(simulator: &Simulator) {
    let answer = exchange(simulator, head("GET", "/v1/customers", FORM, 0).as_bytes()).unwrap();
    assert_eq!(answer.status, 200);
    let list: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 0, "{list}");
}

fn assert_refused(simulator: &Simulator, content_type: &str, body: &[u8]) -> Answer {
    let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
    let answer = post(simulator, content_type, body).unwrap_or_else(|| panic!("cut: {shown}"));
    assert!(
        (400..500).contains(&answer.status),
        "{}: {shown}",
        answer.status
    );
    assert_eq!(answer.error()["type"], "invalid_request_error", "{shown}");
    answer
}

#[test]
fn malformed_forms_are_stripes_400() {
    let simulator = Simulator::start().unwrap();
    let bodies: [&[u8]; 12] = [
        b"name=%FF%FE",
        b"name=%ZZ&%",
        b"name=\xC3\x28",
        b"[name]=x",
        b"name[=x",
        b"name]=x",
        b"metadata[a=x",
        b"metadata[a]b=x",
        b"address=text&address[city]=x",
        b"address[city]=x&address[]=y",
        b"preferred_locales[a][b]=x",
        b"=x",
    ];
    for body in bodies {
        assert_refused(&simulator, FORM, body);
    }
    assert_unharmed(&simulator);
}

#[test]
fn wrong_types_name_the_parameter() {
    let simulator = Simulator::start().unwrap();
    for (body, param) in [
        ("balance=lots", "balance"),
        ("balance=1.5", "balance"),
        ("balance=99999999999999999999999999", "balance"),
        ("address[city][deep]=x", "address[city]"),
        ("name[]=a", "name"),
        ("tax_exempt=maybe", "tax_exempt"),
        ("colour=red", "colour"),
    ] {
        let answer = assert_refused(&simulator, FORM, body.as_bytes());
        assert_eq!(answer.error()["param"], param, "{body}");
    }
    assert_unharmed(&simulator);
}

#[test]
fn other_content_types_are_refused() {
    let simulator = Simulator::start().unwrap();
    assert_refused(&simulator, "application/json", br#"{"name":"x"}"#);
    assert_refused(&simulator, "application/json; charset=utf-8", b"{");
    assert_unharmed(&simulator);
}

#[test]
fn brackets_a_thousand_deep_are_refused() {
    let simulator = Simulator::start().unwrap();
    let mut named = String::from("metadata");
    let mut unnamed = String::from("items");
    for depth in 0..1_000 {
        write!(named, "[k{depth}]").unwrap();
        unnamed.push_str("[]");
    }
    assert_refused(&simulator, FORM, format!("{named}=x").as_bytes());
    assert_refused(&simulator, FORM, format!("{unnamed}=x").as_bytes());
    assert_refused(
        &simulator,
        FORM,
        format!("name{}=x", "[".repeat(1_000)).as_bytes(),
    );
    assert_unharmed(&simulator);
}

#[test]
fn ten_mebibytes_of_form_are_refused() {
    let simulator = Simulator::start().unwrap();
    let one = format!("name={}", "a".repeat(10 << 20));
    let many = "metadata[a]=b&".repeat((10 << 20) / 14);
    for body in [one, many] {
        // The server may cut the connection instead of reading on.
        if let Some(answer) = post(&simulator, FORM, body.as_bytes()) {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
    }
    assert_unharmed(&simulator);
}

#[test]
fn memory_stays_flat_under_large_bodies() {
    let simulator = Simulator::start().unwrap();
    let body = format!("name={}", "a".repeat(3 << 20));
    let send = || {
        let answer = post(&simulator, FORM, body.as_bytes()).unwrap();
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    };
    (0..8).for_each(|_| send());
    let before = resident_kib();
    (0..40).for_each(|_| send());
    let grown = resident_kib().saturating_sub(before);
    // Forty bodies of 3 MiB would be 120 MiB.
    assert!(grown < 40 * 1024, "grew by {grown} KiB");
}

/// Resident memory of this process, which the simulator shares; 0 where unknown.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

#[test]
fn truncated_bodies_have_no_effect() {
    let simulator = Simulator::start().unwrap();
    let mut bytes = head("POST", "/v1/customers", FORM, 500).into_bytes();
    bytes.extend_from_slice(b"name=Half");
    if let Some(answer) = exchange_cut(&simulator, &bytes) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_unharmed(&simulator);
}

#[test]
fn nonsense_instead_of_http_is_refused() {
    let simulator = Simulator::start().unwrap();
    let nul = [0_u8; 4096];
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(2 << 20));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let inputs: [&[u8]; 7] = [
        b"\r\n\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/customers HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        &nul,
        long_header.as_bytes(),
        long_path.as_bytes(),
    ];
    for input in inputs {
        if let Some(answer) = exchange_cut(&simulator, input) {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
    }
    assert_unharmed(&simulator);
}

#[test]
fn odd_paths_and_methods_are_404() {
    let simulator = Simulator::start().unwrap();
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("GET", "/v1/customers/../customers"),
        ("GET", "/v1//customers"),
        ("GET", "/v1/customers/%00%ff/sources/x/y/z"),
        ("PUT", "/v1/customers"),
        ("PATCH", "/v1/customers/cus_1"),
        ("OPTIONS", "/v1/customers"),
    ] {
        let answer = exchange(&simulator, head(method, path, FORM, 0).as_bytes()).unwrap();
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(
            answer.error()["type"],
            "invalid_request_error",
            "{method} {path}"
        );
    }
    assert_unharmed(&simulator);
}

#[test]
fn hostile_credentials_are_401() {
    let simulator = Simulator::start().unwrap();
    let long = format!("Bearer {}", "k".repeat(100_000));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic",
        "Basic !!!!",
        "Basic Og==",
        "Digest x",
        &long,
    ] {
        let request = format!(
            "GET /v1/customers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {value}\r\n\r\n"
        );
        let answer = exchange(&simulator, request.as_bytes()).unwrap();
        assert!(
            answer.status == 401 || answer.status == 431,
            "{}: {value:.20}",
            answer.status
        );
    }
    assert_unharmed(&simulator);
}

#[test]
fn hostile_query_values_are_400() {
    let simulator = Simulator::start().unwrap();
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=abc",
        "limit[]=1",
        "starting_after=cus_none",
        "created[gte]=soon",
        "created[around]=1",
        "expand[]=data.no.such.field",
        "unknown=1",
        "%ff=1",
    ] {
        let path = format!("/v1/customers?{query}");
        let answer = exchange(&simulator, head("GET", &path, FORM, 0).as_bytes()).unwrap();
        assert!(
            (400..500).contains(&answer.status),
            "{}: {query}",
            answer.status
        );
        assert_eq!(answer.error()["type"], "invalid_request_error", "{query}");
    }
    assert_unharmed(&simulator);
}
