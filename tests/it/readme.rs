//! The quick start in README.md, run: its commands work and its answers are real.
//!
//! What is shown of an answer has to be so, but for times, ids, and what `…` stands for: the rest of an
//! object, of a list, or of a text.

use std::collections::BTreeMap;
use std::process::Command;

use reqwest::{Client, Method};
use serde_json::Value;
use stripe_simulator::Simulator;

use crate::support::process::Process;

const README: &str = include_str!("../../README.md");
const SERVICE: &str = "http://127.0.0.1:8080";
const SIMULATOR: &str = "http://127.0.0.1:12111";

/// A command with what it printed.
struct Example {
    command: String,
    shown: String,
}

/// The text of the quick start's blocks in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once("## Quick start").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let fence = format!("```{language}\n");
    let blocks = section.split(&fence).skip(1);
    blocks
        .map(|text| text.split_once("```").unwrap().0)
        .collect()
}

/// Every command after a `$`, which goes on over lines that end with a backslash, with what follows.
fn examples() -> Vec<Example> {
    let texts = blocks("console").into_iter();
    let commands = texts.flat_map(|text| text.split("$ ").skip(1));
    commands
        .map(|text| {
            let mut lines = text.lines();
            let mut command = String::new();
            for line in lines.by_ref() {
                command.push_str(line.trim_end_matches('\\'));
                if !line.ends_with('\\') {
                    break;
                }
            }
            let shown = lines.collect();
            Example { command, shown }
        })
        .collect()
}

/// The words of a command as a shell reads them, as far as the quick start needs it.
fn words(command: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut letters) = (None, command.trim().chars().peekable());
    while let Some(letter) = letters.next() {
        let word = words.last_mut().unwrap();
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(String::new()),
            (None | Some('"'), '$') => {
                let mut name = String::new();
                while let Some(next) = letters.next_if(char::is_ascii_alphanumeric) {
                    name.push(next);
                }
                word.push_str(&variables[&name]);
            }
            (None, '|' | '>' | '<' | '&' | ';' | '(' | '`' | '*' | '?') => {
                panic!("{command}: what a shell does with {letter} is not known here")
            }
            _ => word.push(letter),
        }
    }
    words
}

/// Shown JSON, with `…` as a member or an item where something is left out.
fn shown_json(text: &str) -> Value {
    let (mut json, mut open) = (String::new(), Vec::new());
    let mut in_text = false;
    for letter in text.chars() {
        match letter {
            '"' => in_text = !in_text,
            '{' | '[' if !in_text => open.push(letter),
            '}' | ']' if !in_text => drop(open.pop()),
            _ => {}
        }
        match (letter, in_text, open.last()) {
            ('…', false, Some('{')) => json.push_str("\"…\": null"),
            ('…', false, _) => json.push_str("\"…\""),
            _ => json.push(letter),
        }
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn is_time(text: &str) -> bool {
    portal_billing::clock::Timestamp::parse_rfc3339(text).is_some()
}

/// The prefix of one of our ids.
fn id_prefix(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_once('_')?;
    let letters = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (rest.len() == 26 && letters).then_some(prefix)
}

fn compare(place: &str, shown: &Value, real: &Value) {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            for (name, value) in shown.iter().filter(|(name, _)| *name != "…") {
                let there = real.get(name);
                let there = there.unwrap_or_else(|| panic!("{place}.{name} is not in {real:?}"));
                compare(&format!("{place}.{name}"), value, there);
            }
            if !shown.contains_key("…") {
                assert_eq!(
                    shown.len(),
                    real.len(),
                    "{place} shows too little: {real:?}"
                );
            }
        }
        (Value::Array(shown), Value::Array(real)) => {
            let shortened = shown.last().is_some_and(|last| last == "…");
            let items = &shown[..shown.len() - usize::from(shortened)];
            assert!(items.len() == real.len() || shortened, "{place}: {real:?}");
            for (index, item) in items.iter().enumerate() {
                compare(&format!("{place}[{index}]"), item, &real[index]);
            }
        }
        (Value::String(shown), Value::String(real)) => {
            let same = shown == real
                || (is_time(shown) && is_time(real))
                || (id_prefix(shown).is_some() && id_prefix(shown) == id_prefix(real))
                || (shown.strip_suffix('…')).is_some_and(|begin| real.starts_with(begin));
            assert!(same, "{place}: {real:?} instead of {shown:?}");
        }
        _ => assert_eq!(shown, real, "{place}"),
    }
}

/// What `curl` prints.
async fn curl(client: &Client, arguments: &[String]) -> String {
    let mut arguments = arguments.iter();
    let (mut method, mut url, mut body, mut headers) = (None, None, None, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().unwrap().as_str();
        match argument.as_str() {
            "-sS" => {}
            "-X" => method = Some(next().parse().unwrap()),
            "-H" => headers.push(next().split_once(": ").unwrap()),
            "-d" => body = Some(next().to_owned()),
            address if address.starts_with("http://") => url = Some(address),
            other => panic!("{other} is not known here"),
        }
    }
    let usual = if body.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let mut request = client.request(method.unwrap_or(usual), url.unwrap());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(body.unwrap_or_default());
    request.send().await.unwrap().text().await.unwrap()
}

/// The arguments after `--` of the one command of the quick start that has this beginning.
fn arguments_after(beginning: &str) -> Vec<&'static str> {
    let lines = blocks("sh").into_iter().flat_map(str::lines);
    let mut found = lines.filter_map(|line| line.split_once(beginning));
    let (_, arguments) = found.next().unwrap_or_else(|| panic!("no {beginning}"));
    assert!(found.next().is_none(), "{beginning} is there twice");
    let quotes = |character: char| "'\")".contains(character);
    arguments
        .split_whitespace()
        .map(|word| word.trim_matches(quotes))
        .collect()
}

/// The service and the variables that the quick start sets, beside a simulator that runs.
fn started(simulator: &Simulator, directory: &str) -> (Process, BTreeMap<String, String>) {
    let listen = arguments_after("cargo run -p stripe-simulator -- ");
    assert_eq!(
        listen,
        ["--listen", SIMULATOR.trim_start_matches("http://")]
    );
    let [word, setting] = arguments_after("cargo run -- serve ")[..] else {
        panic!("the service is started with one setting");
    };
    assert_eq!(word, "--set");
    let setting = setting.replace(SIMULATOR, simulator.base_url());
    // What would be in the reader's own directory.
    let data = format!("data_dir={directory}");
    let database = format!("database.url=sqlite://{directory}/portal-billing.db");
    let own = [data, database, "server.listen=127.0.0.1:0".to_owned()];
    let settings: Vec<String> = own.into_iter().chain([setting]).collect();
    let process = Process::start(&BTreeMap::new(), &settings);
    let mut token = Command::new(env!("CARGO_BIN_EXE_portal-billing"));
    token.arg("token").env_clear();
    token.args(arguments_after("cargo run --quiet -- token "));
    for setting in settings {
        token.args(["--set", &setting]);
    }
    let output = token.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let mut variables = BTreeMap::from([("TOKEN".to_owned(), token)]);
    for line in blocks("sh").into_iter().flat_map(str::lines) {
        if let Some((name, value)) = line.split_once('=')
            && name.bytes().all(|byte| byte.is_ascii_uppercase())
            && name != "TOKEN"
        {
            let [value] = &words(value, &variables)[..] else {
                panic!("{line} sets more than one word");
            };
            variables.insert(name.to_owned(), value.clone());
        }
    }
    (process, variables)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_is_real() {
    let simulator = Simulator::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let (process, variables) = tokio::task::block_in_place(|| started(&simulator, &path));
    let client = Client::builder().no_proxy().build().unwrap();
    let examples = examples();
    assert!(examples.len() >= 10, "{}", examples.len());
    for Example { command, shown } in examples {
        let words: Vec<String> = words(&command, &variables)
            .into_iter()
            .map(|word| word.replace(SERVICE, &process.base_url))
            .map(|word| word.replace(SIMULATOR, simulator.base_url()))
            .collect();
        assert_eq!(words[0], "curl", "{command}");
        let real = curl(&client, &words[1..]).await;
        let real: Value = serde_json::from_str(&real).unwrap_or_else(|_| panic!("{real}"));
        compare(&command, &shown_json(&shown), &real);
    }
    assert_eq!(
        tokio::task::block_in_place(|| process.stop())
            .matches("ERROR")
            .count(),
        0
    );
}
