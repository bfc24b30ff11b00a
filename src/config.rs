//! Configuration: defaults < file < environment < flags; typed, checked as a whole, and every
//! problem named at once.
//!
//! [`Config::load`] reads and checks; it makes nothing. [`Config::key_material`] then gives the
//! keys themselves, and in development generates those that are missing. No other module reads the
//! environment.

mod key_material;
mod sections;
mod settings;
mod validate;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Value};

pub use key_material::{KEY_BYTES, Key, KeyMaterial};
pub use sections::{
    Access, Auth, Config, Cors, Database, DatabaseUrl, Issuer, IssuerAlgorithm, Keys, Log,
    LogFormat, Mode, Server, Stripe,
};
pub use settings::{Described, Problem};

use settings::{Problems, Setting};

/// The file that is read when no other is named and this one exists.
pub const DEFAULT_FILE: &str = "portal-billing.toml";
/// The `iss` claim of tokens signed with the development secret.
pub const DEVELOPMENT_ISSUER: &str = "portal-billing-development";
/// What the names of our environment variables begin with. Names with a single underscore, such as
/// those an orchestrator makes for a service called `portal-billing`, are not ours.
const ENVIRONMENT_PREFIX: &str = "PORTAL_BILLING__";

/// What the configuration is made of.
#[derive(Clone, Default)]
pub struct Sources {
    /// A TOML file; it has to exist.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `PORTAL_BILLING__` are ignored.
    pub environment: BTreeMap<String, String>,
    /// Settings by their full name, such as `server.listen`, from the command line.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// This process's environment, `file` or else `portal-billing.toml` if there is one, and the
    /// flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
        let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok()?;
            // A value that is not UTF-8 becomes one that its setting refuses or that cannot match.
            name.starts_with(ENVIRONMENT_PREFIX)
                .then(|| (name, value.to_string_lossy().into_owned()))
        };
        Self {
            file: file.or_else(default),
            environment: std::env::vars_os().filter_map(ours).collect(),
            flags,
        }
    }
}

/// The configuration cannot be used: all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    fn one(setting: &str, message: impl Into<String>) -> Self {
        let mut problems = Problems::default();
        problems.push(setting, message);
        Self {
            problems: problems.0,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [_] => write!(f, "1 problem in the configuration:")?,
            problems => write!(f, "{} problems in the configuration:", problems.len())?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Merges the sources and checks the outcome. Makes no file and opens no connection.
    ///
    /// # Errors
    /// Every problem at once: unknown settings, values of a wrong type or out of range, and
    /// settings that contradict each other or the mode.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let (environment, flags) = known_names(sources, &mut problems);
        let merged = merge(sources.file.as_deref(), &environment, &flags)?;
        let config = Self::read(merged.clone(), "", &mut problems).unwrap_or_default();
        validate::validate(&config, &mut problems);
        if let Some(file) = &sources.file {
            validate::secrets_in_file(&config, &merged, file, &mut problems);
        }
        if problems.0.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError {
                problems: problems.0,
            })
        }
    }

    /// Every setting: name, default, environment variable, meaning.
    pub fn explain() -> Vec<Described> {
        let mut described = Vec::new();
        Self::describe(&Self::default(), "", "", &mut described);
        described
    }

    /// [`Self::explain`] for people.
    pub fn explain_text() -> String {
        let entries = Self::explain().into_iter().map(|setting| {
            let default = setting.default.as_deref().unwrap_or("(none)");
            format!(
                "{}\n    meaning      {}\n    value        {}\n    default      {default}\n    \
                 environment  {}\n",
                setting.name, setting.meaning, setting.kind, setting.environment,
            )
        });
        entries.collect::<Vec<_>>().join("\n")
    }

    /// The address callers know the service by, without a slash at its end.
    pub fn public_url(&self) -> String {
        self.server.public_url.as_deref().map_or_else(
            || format!("http://{}", self.server.listen),
            |url| url.trim_end_matches('/').to_owned(),
        )
    }
}

type Written = BTreeMap<String, String>;

/// The environment and the flags with only the settings that exist; the others become problems.
fn known_names(sources: &Sources, problems: &mut Problems) -> (Written, Written) {
    let explained = Config::explain();
    let find = |environment_name: &str| {
        let place_free: Vec<&str> = environment_name
            .split("__")
            .map(|part| if is_place(part) { "<n>" } else { part })
            .collect();
        let wanted = place_free.join("__");
        explained.iter().find(|known| known.environment == wanted)
    };
    let mut environment = Written::new();
    for (name, value) in &sources.environment {
        if !name.starts_with(ENVIRONMENT_PREFIX) {
            continue;
        }
        if find(name).is_some() {
            environment.insert(name.clone(), value.clone());
        } else {
            problems.push(name, "unknown environment variable");
        }
    }
    let mut flags = Written::new();
    for (name, value) in &sources.flags {
        match find(&settings::environment_name(name)) {
            Some(known) if known.secret || holds_password(value) => problems.push(
                name,
                "a secret is not taken from the command line, where other users can read it; \
                 set it in the file or in the environment",
            ),
            Some(_) => {
                flags.insert(name.clone(), value.clone());
            }
            None => problems.push(name, "unknown setting"),
        }
    }
    (environment, flags)
}

fn holds_password(value: &str) -> bool {
    reqwest::Url::parse(value).is_ok_and(|url| url.password().is_some())
}

fn is_place(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn merge(
    file: Option<&Path>,
    environment: &Written,
    flags: &Written,
) -> Result<Value, ConfigError> {
    let mut builder = config::Config::builder();
    if let Some(path) = file {
        builder = builder.add_source(File::from(path).format(FileFormat::Toml).required(true));
    }
    builder = builder.add_source(
        Environment::with_prefix("PORTAL_BILLING")
            .prefix_separator("__")
            .separator("__")
            // `VARIABLE=` in a compose file means that nothing was given.
            .ignore_empty(true)
            .source(Some(environment.clone().into_iter().collect())),
    );
    let flag = "a flag".to_owned();
    for (name, value) in flags {
        builder = builder
            .set_override(name, Value::new(Some(&flag), value.as_str()))
            .map_err(|_| ConfigError::one(name, "unknown setting"))?;
    }
    let name = file.map_or_else(String::new, |path| path.display().to_string());
    let merged = builder.build().map_err(|error| {
        // The lines after the first quote the file, which may hold secrets.
        let text = error.to_string();
        ConfigError::one(&name, text.lines().next().unwrap_or_default())
    })?;
    Ok(merged.cache)
}

#[cfg(test)]
mod tests;
