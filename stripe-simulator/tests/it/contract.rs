//! The committed contract is what the generator wrote, for the version we say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contract")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parsed(name: &str) -> Value {
    serde_json::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn the_generated_files_were_not_edited_by_hand() {
    let sums: BTreeMap<String, String> = read("SHA256SUMS")
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    let names: Vec<&str> = sums.keys().map(String::as_str).collect();
    assert_eq!(names, ["requests.json", "responses.json"]);
    for (name, sum) in &sums {
        assert_eq!(
            &sha256(&read(name)),
            sum,
            "run scripts/generate_contract.py, not an editor"
        );
    }
}

#[test]
fn the_contract_is_of_the_pinned_version_and_sdk() {
    let pin = read("../scripts/contract-requirements.txt");
    let sdk = pin
        .lines()
        .find(|line| line.starts_with("stripe=="))
        .unwrap();
    let sdk = sdk.split_whitespace().next().unwrap();
    for name in ["requests.json", "responses.json"] {
        let file = parsed(name);
        assert_eq!(file["api_version"], stripe_simulator::API_VERSION, "{name}");
        assert!(
            file["source"].as_str().unwrap().starts_with(sdk),
            "{name}: {}",
            file["source"]
        );
    }
}

#[test]
fn every_operation_has_a_schema_and_an_answer() {
    let (requests, responses) = (parsed("requests.json"), parsed("responses.json"));
    let schemas = requests["components"]["schemas"].as_object().unwrap();
    let mut operations = 0;
    for (path, verbs) in requests["operations"].as_object().unwrap() {
        for (verb, schema) in verbs.as_object().unwrap() {
            operations += 1;
            assert!(
                schemas.contains_key(schema.as_str().unwrap()),
                "{verb} {path}: {schema}"
            );
            let Some(answer) = responses["returns"][path][verb].as_str() else {
                continue;
            };
            let name = answer.trim_start_matches("list:");
            assert!(
                !responses["$defs"][name].is_null(),
                "{verb} {path} answers {answer}"
            );
        }
    }
    assert!(operations > 250, "{operations} operations");
}

#[test]
fn no_reference_in_the_contract_dangles() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    found.push(reference);
                }
                map.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    for name in ["requests.json", "responses.json"] {
        let file = parsed(name);
        let mut found = Vec::new();
        references(&file, &mut found);
        assert!(!found.is_empty(), "{name}");
        for reference in found {
            let target = reference.trim_start_matches("#/");
            let (place, key) = match target.strip_prefix("components/schemas/") {
                Some(key) => (&file["components"]["schemas"], key),
                None => (&file["$defs"], target.trim_start_matches("$defs/")),
            };
            assert!(!place[key].is_null(), "{name}: {reference}");
        }
    }
}
