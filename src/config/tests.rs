use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use data_encoding::BASE64;
use secrecy::ExposeSecret;

use super::*;

mod explanation;

const CANARY: &str = "canary-0123456789-abcdefghijklmnopqrstuvwxyz";

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources {
        environment: pairs
            .iter()
            .map(|(name, value)| (format!("PORTAL_BILLING__{name}"), (*value).to_owned()))
            .collect(),
        ..Sources::default()
    }
}

fn file(directory: &tempfile::TempDir, text: &str) -> Sources {
    let path = directory.path().join("settings.toml");
    fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    Sources {
        file: Some(path),
        ..Sources::default()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn named(error: &ConfigError) -> Vec<&str> {
    error
        .problems
        .iter()
        .map(|problem| problem.setting.as_str())
        .collect()
}

fn problems(sources: &Sources) -> ConfigError {
    Config::load(sources).unwrap_err()
}

fn key_text(byte: u8) -> String {
    BASE64.encode(&[byte; KEY_BYTES])
}

#[test]
fn nothing_configured_starts_in_development_on_loopback_with_sqlite() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.mode, Mode::Development);
    assert!(config.server.listen.ip().is_loopback());
    assert_eq!(
        config.database.url.expose(),
        "sqlite://./data/portal-billing.db"
    );
    assert_eq!(config.public_url(), "http://127.0.0.1:8080");
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut sources = file(
        &directory,
        "[server]\nworkers = 1\nkeep_alive_seconds = 1\nrequest_timeout_seconds = 1\n",
    );
    sources.environment = environment(&[
        ("SERVER__WORKERS", "2"),
        ("SERVER__KEEP_ALIVE_SECONDS", "2"),
    ])
    .environment;
    sources.flags = vec![("server.workers".to_owned(), "3".to_owned())];
    let server = Config::load(&sources).unwrap().server;
    assert_eq!(
        (
            server.workers,
            server.keep_alive_seconds,
            server.request_timeout_seconds
        ),
        (Some(3), 2, 1)
    );
}

#[test]
fn every_problem_is_named_at_once_with_its_origin() {
    let directory = tempfile::tempdir().unwrap();
    let mut sources = file(
        &directory,
        "surprise = 1\n[server]\nworkers = 0\nlisten = 'nowhere'\nlistne = 'x'\n[log]\nformat = 'xml'\n",
    );
    sources.environment = environment(&[
        ("DATABASE__URL", "mysql://db/x"),
        ("SERVER__TYPO", "1"),
        ("STRIPE__REQUEST_TIMEOUT_MS", "soon"),
    ])
    .environment;
    sources.flags = vec![("no.such".to_owned(), "1".to_owned())];
    let error = problems(&sources);
    let mut names = named(&error);
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "PORTAL_BILLING__SERVER__TYPO",
            "database.url",
            "log.format",
            "no.such",
            "server.listen",
            "server.listne",
            "server.workers",
            "stripe.request_timeout_ms",
            "surprise",
        ]
    );
    let text = error.to_string();
    assert!(
        text.starts_with("9 problems in the configuration:\n"),
        "{text}"
    );
    assert!(
        text.contains("database.url (from the environment): expected a URL"),
        "{text}"
    );
    assert!(
        text.contains("settings.toml): must be from 1 to 1024"),
        "{text}"
    );
    assert!(
        text.contains("known here: listen, workers, public_url"),
        "{text}"
    );
}

#[test]
fn a_type_that_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (text, setting) in [
        ("mode = 1", "mode"),
        ("server = 'x'", "server"),
        ("server = []", "server"),
        ("[server]\nworkers = 1.5", "server.workers"),
        ("[server]\nworkers = -1", "server.workers"),
        ("[server]\nworkers = 70000", "server.workers"),
        ("[server]\nworkers = true", "server.workers"),
        (
            "[database]\nmigrate_on_start = 'yes'",
            "database.migrate_on_start",
        ),
        (
            "[database]\nmigrate_on_start = 1",
            "database.migrate_on_start",
        ),
        ("[cors]\nallowed_origins = 7", "cors.allowed_origins"),
        ("[cors]\nallowed_origins = [7]", "cors.allowed_origins.0"),
        ("[auth]\naudience = 7", "auth.audience"),
        ("[auth]\naudience = ['a']", "auth.audience"),
        ("[auth]\nissuers = 'me'", "auth.issuers.0"),
        ("[auth]\nissuers = [1]", "auth.issuers.0"),
    ] {
        assert_eq!(
            named(&problems(&file(&directory, text))),
            [setting],
            "{text}"
        );
    }
}

#[test]
fn a_missing_or_broken_file_is_one_problem_that_quotes_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Sources {
        file: Some(directory.path().join("none.toml")),
        ..Sources::default()
    };
    assert_eq!(problems(&missing).problems.len(), 1);
    let broken = problems(&file(
        &directory,
        &format!("[keys]\nmaster_key = \"{CANARY}\n"),
    ));
    assert_eq!(broken.problems.len(), 1);
    assert!(!broken.to_string().contains("canary"), "{broken}");
    assert!(broken.to_string().contains("line 2"), "{broken}");
}

#[test]
fn lists_are_comma_separated_and_issuers_take_a_place_in_the_environment() {
    let config = Config::load(&environment(&[
        (
            "CORS__ALLOWED_ORIGINS",
            "https://a.example, https://b.example",
        ),
        ("AUTH__ISSUERS__0__ISSUER", "https://id.example"),
        ("AUTH__ISSUERS__0__JWKS_URL", "https://id.example/jwks"),
        ("AUTH__ISSUERS__0__ALGORITHMS", "EdDSA,RS256"),
        ("AUTH__ISSUERS__1__ISSUER", "other"),
        ("AUTH__ISSUERS__1__JWKS_FILE", "/dev/null"),
        ("AUTH__ISSUERS__1__ALGORITHMS", "ES256"),
        ("SERVER__WORKERS", ""),
    ]))
    .unwrap();
    assert_eq!(
        config.cors.allowed_origins,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(config.auth.issuers.len(), 2);
    assert_eq!(
        config.auth.issuers[0].algorithms,
        [IssuerAlgorithm::EdDsa, IssuerAlgorithm::Rs256]
    );
    assert_eq!(
        config.auth.issuers[1].jwks_file.as_deref(),
        Some(Path::new("/dev/null"))
    );
    assert_eq!(config.server.workers, None);
}

#[test]
fn other_names_in_the_environment_are_not_ours() {
    let mut sources = Sources::default();
    for name in ["PORTAL_BILLING_SERVICE_HOST", "PORTAL_BILLING_PORT", "PATH"] {
        sources.environment.insert(name.to_owned(), "x".to_owned());
    }
    Config::load(&sources).unwrap();
    let mut lower = Sources::default();
    lower
        .environment
        .insert("PORTAL_BILLING__server__listen".to_owned(), "x".to_owned());
    assert_eq!(named(&problems(&lower)), ["PORTAL_BILLING__server__listen"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn rules_between_settings() {
    let issuer =
        "[[auth.issuers]]\nissuer = 'a'\njwks_file = '/dev/null'\nalgorithms = ['ES256']\n";
    let directory = tempfile::tempdir().unwrap();
    let one = key_text(1);
    for (text, setting) in [
        (
            "[server]\npublic_url = 'ftp://x'".to_owned(),
            "server.public_url",
        ),
        (
            "[server]\npublic_url = 'https://x/path'".to_owned(),
            "server.public_url",
        ),
        (
            "[server]\npublic_url = 'https://x?q'".to_owned(),
            "server.public_url",
        ),
        (
            "[server]\npublic_url = 'https://user:pw@x'".to_owned(),
            "server.public_url",
        ),
        (
            "[cors]\nallowed_origins = ['*']".to_owned(),
            "cors.allowed_origins.0",
        ),
        (
            "[cors]\nallowed_origins = ['https://a.example/']".to_owned(),
            "cors.allowed_origins.0",
        ),
        (
            "[cors]\nallowed_origins = ['null']".to_owned(),
            "cors.allowed_origins.0",
        ),
        (
            "[cors]\nallowed_origins = ['https://a.example', 'https://a.example']".to_owned(),
            "cors.allowed_origins.1",
        ),
        (
            "[stripe]\nbase_url = 'http://api.stripe.com'".to_owned(),
            "stripe.base_url",
        ),
        (
            "[stripe]\nbase_url = 'http://127.0.0.1.example'".to_owned(),
            "stripe.base_url",
        ),
        (
            "[stripe]\nbase_url = 'https://api.stripe.com/v1'".to_owned(),
            "stripe.base_url",
        ),
        (
            "[stripe]\nconnect_timeout_ms = 20_000".to_owned(),
            "stripe.connect_timeout_ms",
        ),
        (
            "[stripe]\nproxy = 'socks5://127.0.0.1:1080'".to_owned(),
            "stripe.proxy",
        ),
        ("[auth]\naudience = ''".to_owned(), "auth.audience"),
        (
            "[auth]\ndevelopment_secret = 'short'".to_owned(),
            "auth.development_secret",
        ),
        (format!("{issuer}{issuer}"), "auth.issuers.1.issuer"),
        (issuer.replace("'a'", "''"), "auth.issuers.0.issuer"),
        (
            issuer.replace("'a'", "'portal-billing-development'"),
            "auth.issuers.0.issuer",
        ),
        (
            issuer.replace("['ES256']", "[]"),
            "auth.issuers.0.algorithms",
        ),
        (
            issuer.replace("/dev/null", "/no/such/file"),
            "auth.issuers.0.jwks_file",
        ),
        (
            issuer.replace("ES256", "HS256"),
            "auth.issuers.0.algorithms.0",
        ),
        (
            issuer.replace("ES256", "none"),
            "auth.issuers.0.algorithms.0",
        ),
        (
            issuer.replace("jwks_file = '/dev/null'\n", ""),
            "auth.issuers.0",
        ),
        (
            issuer.replace("jwks_file", "jwks_url='https://x'\njwks_file"),
            "auth.issuers.0",
        ),
        (
            issuer.replace("jwks_file = '/dev/null'", "jwks_url='http://x'"),
            "auth.issuers.0.jwks_url",
        ),
        (
            issuer.replace("jwks_file = '/dev/null'", "jwks_url='file:///x'"),
            "auth.issuers.0.jwks_url",
        ),
        ("[keys]\nmaster_key = 'short'".to_owned(), "keys.master_key"),
        (
            format!("[keys]\nmaster_key = '{}'", key_text(0)),
            "keys.master_key",
        ),
        (
            "[keys]\nmaster_key_file = '/no/such/file'".to_owned(),
            "keys.master_key_file",
        ),
        (
            format!("[keys]\nmaster_key = '{one}'\nprevious_master_keys = ['{one}']"),
            "keys.previous_master_keys.0",
        ),
        ("[log]\nlevel = '=='".to_owned(), "log.level"),
        ("[database]\nurl = 'sqlite://'".to_owned(), "database.url"),
        ("[database]\nurl = 'postgres:db'".to_owned(), "database.url"),
    ] {
        let sources = file(&directory, &text);
        let Err(error) = Config::load(&sources) else {
            panic!("accepted: {text}")
        };
        assert!(named(&error).contains(&setting), "{text}: {error}");
    }
    for accepted in [
        "[stripe]\nbase_url = 'http://localhost:12111'",
        "[stripe]\nbase_url = 'http://[::1]:12111'",
        "[stripe]\nproxy = 'http://user:password@proxy.example:3128'",
        "[cors]\nallowed_origins = ['http://localhost:3000']",
        "[database]\nurl = 'postgresql://u:p@db/x?sslmode=require'",
        "[log]\nlevel = 'info,portal_billing=debug'",
    ] {
        Config::load(&file(&directory, accepted)).unwrap();
    }
}

fn production(directory: &Path) -> Vec<(&'static str, String)> {
    let key = directory.join("master.key");
    fs::write(&key, format!("{}\n", key_text(7))).unwrap();
    set_mode(&key, 0o640);
    vec![
        ("MODE", "production".to_owned()),
        ("KEYS__MASTER_KEY_FILE", key.display().to_string()),
        ("AUTH__ISSUERS__0__ISSUER", "https://id.example".to_owned()),
        (
            "AUTH__ISSUERS__0__JWKS_URL",
            "https://id.example/jwks".to_owned(),
        ),
        ("AUTH__ISSUERS__0__ALGORITHMS", "EdDSA".to_owned()),
    ]
}

fn with<'a>(base: &'a [(&'a str, String)], changed: &[(&'a str, Option<&'a str>)]) -> Sources {
    let mut pairs: Vec<(&str, &str)> = base
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .filter(|(name, _)| !changed.iter().any(|(other, _)| other == name))
        .collect();
    pairs.extend(
        changed
            .iter()
            .filter_map(|(name, value)| value.map(|value| (*name, value))),
    );
    environment(&pairs)
}

#[test]
fn production_refuses_to_start_without_real_keys_and_issuers() {
    let directory = tempfile::tempdir().unwrap();
    let base = production(directory.path());
    let config = Config::load(&with(&base, &[])).unwrap();
    let material = config.key_material().unwrap();
    assert_eq!(material.master.expose(), &[7; KEY_BYTES]);
    assert!(material.development_secret.is_none() && material.generated_in.is_none());

    assert_eq!(
        named(&problems(&environment(&[("MODE", "production")]))),
        ["keys.master_key", "auth.issuers"]
    );
    for (changed, setting) in [
        (("KEYS__MASTER_KEY_FILE", None), "keys.master_key"),
        (
            ("AUTH__DEVELOPMENT_SECRET", Some(CANARY)),
            "auth.development_secret",
        ),
        (
            ("AUTH__ISSUERS__0__JWKS_URL", Some("http://id.example/jwks")),
            "auth.issuers.0.jwks_url",
        ),
        (
            ("AUTH__ISSUERS__0__ALGORITHMS", Some("HS256")),
            "auth.issuers.0.algorithms.0",
        ),
        (
            ("SERVER__PUBLIC_URL", Some("http://billing.example")),
            "server.public_url",
        ),
        (
            ("CORS__ALLOWED_ORIGINS", Some("http://portal.example")),
            "cors.allowed_origins.0",
        ),
    ] {
        let error = problems(&with(&base, &[changed]));
        assert!(named(&error).contains(&setting), "{changed:?}: {error}");
        assert!(!error.to_string().contains("canary"));
    }
    let loopback = (
        "AUTH__ISSUERS__0__JWKS_URL",
        Some("http://127.0.0.1:9/jwks"),
    );
    Config::load(&with(&base, &[loopback])).unwrap();
}

#[test]
fn production_refuses_secrets_that_every_user_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let base = production(directory.path());
    set_mode(&directory.path().join("master.key"), 0o644);
    assert_eq!(
        named(&problems(&with(&base, &[]))),
        ["keys.master_key_file"]
    );

    for secret in [
        format!("[keys]\nmaster_key = '{}'\n", key_text(9)),
        "[database]\nurl = 'postgres://u:pw@db/x'\n".to_owned(),
        "[stripe]\nproxy = 'http://u:pw@proxy.example:3128'\n".to_owned(),
    ] {
        let mut sources = with(&base, &[("KEYS__MASTER_KEY_FILE", None)]);
        if !secret.starts_with("[keys]") {
            let key = key_text(9);
            sources = with(
                &base,
                &[
                    ("KEYS__MASTER_KEY_FILE", None),
                    ("KEYS__MASTER_KEY", Some(&key)),
                ],
            );
        }
        sources.file = file(&directory, &secret).file;
        Config::load(&sources).unwrap();
        set_mode(sources.file.as_deref().unwrap(), 0o644);
        assert_eq!(problems(&sources).problems.len(), 1);
    }
}

#[test]
fn development_keys_are_generated_once_and_kept_for_the_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::load(&Sources::default()).unwrap();
    config.data_dir = directory.path().join("data");
    let first = config.key_material().unwrap();
    let path = first.generated_in.clone().unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_dir(&config.data_dir).unwrap().count(), 1);

    let second = config.key_material().unwrap();
    assert_eq!(first.master.expose(), second.master.expose());
    let secret = |material: &KeyMaterial| {
        material
            .development_secret
            .as_ref()
            .unwrap()
            .expose_secret()
            .to_owned()
    };
    assert_eq!(secret(&first), secret(&second));

    config.keys.master_key = Some(key_text(3).into());
    assert_eq!(
        config.key_material().unwrap().master.expose(),
        &[3; KEY_BYTES]
    );
    config.auth.development_secret = Some(CANARY.into());
    let given = config.key_material().unwrap();
    assert!(given.generated_in.is_none());

    config.keys.master_key = None;
    set_mode(&path, 0o640);
    assert!(
        config
            .key_material()
            .is_err_and(|error| error.to_string().contains("chmod 600"))
    );
    set_mode(&path, 0o600);
    fs::write(&path, format!("master_key = \"{CANARY}\"\n")).unwrap();
    let damaged = config.key_material().err().unwrap().to_string();
    assert!(
        damaged.contains("damaged") && !damaged.contains("canary"),
        "{damaged}"
    );
}

#[test]
fn many_processes_starting_at_once_agree_on_the_generated_keys() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::load(&Sources::default()).unwrap();
    config.data_dir = directory.path().to_owned();
    let keys: Vec<[u8; KEY_BYTES]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| *config.key_material().unwrap().master.expose()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.iter().all(|key| key == &keys[0]));
}

#[test]
fn secrets_show_up_neither_in_debug_nor_in_problems_nor_in_the_explanation() {
    let directory = tempfile::tempdir().unwrap();
    let good = key_text(5);
    let text = format!(
        "[keys]\nmaster_key = '{good}'\nprevious_master_keys = ['{}']\n\
         [auth]\ndevelopment_secret = '{CANARY}'\n\
         [database]\nurl = 'postgres://u:{CANARY}@db/x?password={CANARY}'\n",
        key_text(6)
    );
    let config = Config::load(&file(&directory, &text)).unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(config.database.url.expose().contains("canary"));
    for secret in ["canary", good.as_str(), key_text(6).as_str()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("REDACTED"));

    let wrong = text.replace(&good, CANARY).replace("postgres:", "mysql:");
    let sources = file(&directory, &wrong);
    let error = problems(&sources);
    assert!(
        !format!("{error} {error:?}").contains("canary"),
        "{error:?}"
    );
    let url = format!("postgres://u:{CANARY}@db/x");
    for (name, value) in [("keys.master_key", CANARY), ("database.url", &url)] {
        let flag = Sources {
            flags: vec![(name.to_owned(), value.to_owned())],
            ..Sources::default()
        };
        let error = problems(&flag);
        assert_eq!(named(&error), [name]);
        assert!(!error.to_string().contains("canary"));
    }
}
