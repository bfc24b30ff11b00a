//! The house rules that a machine can see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, and of a function, from which on it wants a better cut.
const FILE_MAX_LINES: usize = 600;

/// What each module may use of the crate; `ARCHITECTURE.md` has the same table.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("clock", &[][..]),
        ("secret", &[]),
        ("config", &[]),
        ("ids", &["clock"]),
        ("telemetry", &["config"]),
        ("domain", &["ids", "clock"]),
        ("stripe", &["domain", "ids", "secret", "clock"]),
        ("store", &["domain", "ids", "secret", "clock"]),
        ("deliver", &["domain", "clock"]),
        (
            "app",
            &[
                "domain", "stripe", "store", "deliver", "ids", "secret", "clock",
            ],
        ),
        ("http", &["app", "domain", "ids", "secret", "clock"]),
        ("worker", &["app", "domain", "ids", "clock"]),
        (
            "server",
            &[
                "app",
                "clock",
                "config",
                "deliver",
                "domain",
                "http",
                "ids",
                "secret",
                "store",
                "stripe",
                "telemetry",
                "worker",
            ],
        ),
    ])
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files_below(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut found);
    }
    assert!(found.len() > 30, "the walk finds the sources");
    found
}

/// The modules that a file names as `crate::<module>`, test modules at its end left out.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    let mut used = BTreeSet::new();
    for line in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for after in line.split("crate::").skip(1) {
            if let Some(group) = after.strip_prefix('{') {
                let names = group
                    .split(['}', ';'])
                    .next()
                    .unwrap_or_default()
                    .split(',');
                used.extend(names.map(|name| name.split("::").next().unwrap().trim().to_owned()));
            } else {
                let name: String = after
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                used.insert(name);
            }
        }
    }
    used.remove("");
    used
}

#[test]
fn modules_use_only_what_the_house_allows() {
    let allowed = allowed();
    let source = root().join("src");
    let mut wrong = Vec::new();
    for path in files_below(&["src"]) {
        let relative = path.strip_prefix(&source).unwrap();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let module = first.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let may = allowed
            .get(module)
            .unwrap_or_else(|| panic!("{module} has no place in the house"));
        for used in used_modules(&fs::read_to_string(&path).unwrap()) {
            if used != module && !may.contains(&used.as_str()) {
                wrong.push(format!("{} uses crate::{used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_port_names_the_stripe_library() {
    let mut wrong = Vec::new();
    for path in files_below(&["src"]) {
        let inside = path.components().any(|part| part.as_os_str() == "stripe");
        let text = fs::read_to_string(&path).unwrap();
        let names = [
            "stripe_rust",
            "stripe_misc",
            "stripe_client_core",
            "stripe_shared",
            // With `::`, because columns and fields are named like these too.
            "stripe_types::",
            "stripe_core::",
            "stripe_product::",
            "stripe_payment::",
            "stripe_billing::",
            "stripe_checkout::",
        ];
        if !inside && names.iter().any(|name| text.contains(name)) {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Test cards and tokens are the tests' and the demo's; what is shipped cannot pay with one.
#[test]
fn no_test_card_is_in_the_product() {
    let mut wrong = Vec::new();
    for path in files_below(&["src"]) {
        if path.to_string_lossy().contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap_or(&text);
        for needle in ["tok_", "pm_card_", "sk_test_simulator"] {
            if shipped.contains(needle) {
                wrong.push(format!("{}: {needle}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_use_lines_sees_every_form() {
    let text = "use crate::store::{self, Conn};\nuse crate::{telemetry, worker};\n\
                let x = crate::domain::text::line();\n// crate::comment\n#[cfg(test)]\nuse crate::http;";
    let used: Vec<_> = used_modules(text).into_iter().collect();
    assert_eq!(used, ["domain", "store", "telemetry", "worker"]);
}

#[test]
fn files_stay_small_enough_to_be_read() {
    let mut long = Vec::new();
    for path in files_below(&[
        "src",
        "tests",
        "stripe-simulator/src",
        "stripe-simulator/tests",
    ]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > FILE_MAX_LINES {
            long.push(format!("{lines} lines: {}", path.display()));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Else Diesel prepares each insert anew: columns that are `None` would be left out.
#[test]
fn rows_are_inserted_by_statements_of_one_text() {
    let mut wrong = Vec::new();
    for path in files_below(&["src/store"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (_, row) in text
            .match_indices("#[derive(")
            .map(|(at, _)| text.split_at(at))
        {
            let attributes = row.split("struct ").next().unwrap_or(row);
            let derived = attributes.split(")]").next().unwrap_or_default();
            if derived.contains("Insertable")
                && !attributes.contains("treat_none_as_default_value = false")
            {
                wrong.push(path.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn migrations_have_the_same_names_on_both_engines() {
    let names = |engine: &str| -> BTreeSet<String> {
        fs::read_dir(root().join("migrations").join(engine))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .inspect(|path| {
                assert!(path.join("up.sql").exists() && path.join("down.sql").exists());
            })
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, postgres);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let mut wrong = Vec::new();
    for path in files_below(&[
        "src",
        "tests",
        "stripe-simulator/src",
        "stripe-simulator/tests",
    ]) {
        let text = fs::read_to_string(&path).unwrap();
        // Put together here, so that this file does not find itself.
        for needle in [
            concat!("#[ign", "ore"),
            concat!("thread::sl", "eep"),
            concat!("todo", "!("),
        ] {
            if text.contains(needle) {
                wrong.push(format!("{}: {needle}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_committed_description_is_the_current_one() {
    let committed = fs::read_to_string(root().join("openapi/openapi.json")).unwrap();
    let current = portal_billing::http::openapi::document_text();
    assert!(
        committed == current,
        "openapi/openapi.json differs: run `make openapi`"
    );
}

/// An operation's description is of use when it shows what comes back.
#[test]
fn every_operation_has_its_name_its_summary_and_an_example() {
    let document = serde_json::to_value(portal_billing::http::openapi::document()).unwrap();
    let mut wrong = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            let well_named =
                name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if !well_named || operation["summary"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{method} {path}: name and summary"));
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = &response["content"];
                let Some(json) = content
                    .get("application/json")
                    .or(content.get("application/problem+json"))
                else {
                    if status.starts_with(['4', '5']) {
                        wrong.push(format!("{method} {path} {status}: no problem"));
                    }
                    continue;
                };
                let reference = json["schema"]["$ref"].as_str().unwrap_or_default();
                let schema = document.pointer(reference.trim_start_matches('#'));
                let shown = json.get("example").is_some()
                    || schema.is_some_and(|schema| schema.get("example").is_some());
                // The document itself is its own example.
                if !shown && path != "/openapi.json" {
                    wrong.push(format!("{method} {path} {status}: no example"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
