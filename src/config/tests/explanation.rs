//! What `check-config --explain` says has to be so.

use super::*;

/// Leaf names of the configuration as `Debug` sees them, so from the struct and not from the table.
fn debug_leaves(text: &str) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    let mut leaves = Vec::new();
    for line in text.lines().skip(1) {
        let line = line.trim();
        if line == "}," || line == "}" {
            path.pop();
        } else if let Some((name, rest)) = line.split_once(": ") {
            path.push(name.to_owned());
            if !rest.ends_with('{') {
                leaves.push(path.join("."));
                path.pop();
            }
        }
    }
    leaves
}

#[test]
fn no_setting_is_missing_from_the_explanation() {
    let explained = Config::explain();
    let mut names: Vec<String> = explained
        .iter()
        .filter(|setting| !setting.name.contains("<n>"))
        .map(|setting| setting.name.clone())
        .collect();
    let debug = format!("{:#?}", Config::default());
    let mut fields = debug_leaves(&debug);
    assert!(fields.iter().any(|field| field == "auth.issuers"));
    fields.retain(|field| field != "auth.issuers");
    let issuer = format!("{:#?}", Issuer::default());
    fields.extend(
        debug_leaves(&issuer)
            .iter()
            .map(|field| format!("auth.issuers.<n>.{field}")),
    );
    names.extend(
        explained
            .iter()
            .map(|setting| setting.name.clone())
            .filter(|name| name.contains("<n>")),
    );
    names.sort_unstable();
    fields.sort_unstable();
    assert_eq!(names, fields);
    for setting in &explained {
        assert!(setting.meaning.len() > 10, "{setting:?}");
        assert!(setting.meaning.ends_with('.'), "{setting:?}");
        assert!(!setting.meaning.contains("  "), "{setting:?}");
    }
}

#[test]
fn each_explained_default_is_the_real_one_and_each_variable_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let real = format!("{:?}", Config::load(&Sources::default()).unwrap());
    for setting in Config::explain() {
        if setting.name.contains("<n>") {
            continue;
        }
        let Some(default) = &setting.default else {
            continue;
        };
        let written = format!("{} = {default}\n", setting.name);
        let from_file = Config::load(&file(&directory, &written)).unwrap();
        assert_eq!(format!("{from_file:?}"), real, "{written}");
        let plain = default.trim_matches(['"', '[', ']']).to_owned();
        let mut sources = Sources::default();
        sources
            .environment
            .insert(setting.environment.clone(), plain);
        assert_eq!(
            format!("{:?}", Config::load(&sources).unwrap()),
            real,
            "{setting:?}"
        );
    }
}

#[test]
fn each_explained_setting_reaches_the_configuration_from_the_environment() {
    let defaults = format!("{:?}", Config::default());
    for setting in Config::explain() {
        if setting.name.contains("<n>") {
            continue;
        }
        let changed = match setting.name.as_str() {
            "mode" => "production",
            "data_dir" | "keys.master_key_file" | "keys.previous_master_key_files" => "/elsewhere",
            "server.listen" => "0.0.0.0:1",
            "database.url" => "sqlite:///elsewhere",
            "database.migrate_on_start" => "false",
            "deliveries.allow_loopback" => "true",
            "log.format" => "pretty",
            _ if setting.kind.contains("number") => setting.kind.rsplit(' ').next().unwrap(),
            _ => "https://elsewhere.example",
        };
        let sources = Sources {
            environment: [(setting.environment.clone(), changed.to_owned())].into(),
            ..Sources::default()
        };
        let merged = merge(None, &sources.environment, &Written::new()).unwrap();
        let mut problems = Problems::default();
        let config = Config::read(merged, "", &mut problems).unwrap();
        assert_eq!(problems.0, [], "{setting:?}");
        assert_ne!(format!("{config:?}"), defaults, "{setting:?}");
    }
}
